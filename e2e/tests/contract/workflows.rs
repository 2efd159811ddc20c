//! Which jobs of the workflows may write, and that two Dockerfiles make the same image. The workflows' own linters are those
//! of `just lint-workflows`.

use fs_err as fs;
use serde_json::{Map, Value};

use crate::shipped;

/// Whoever changes a workflow sees here that more of them may write; zizmor only knows what is never right.
#[test]
fn only_the_jobs_that_publish_may_write() {
    let mut writing = Vec::new();
    for file in fs::read_dir(shipped::path(".github/workflows")).unwrap() {
        let name = shipped::name(&file.unwrap().path());
        let workflow: Value = serde_saphyr::from_str(&shipped::read(&name)).unwrap();
        let mut look = |owner: String, permissions: &Value| {
            let read_only = |scopes: &Map<String, Value>| scopes.values().all(|access| access == "read");
            if !permissions.as_object().is_some_and(read_only) {
                writing.push(owner);
            }
        };
        look(name.clone(), &workflow["permissions"]);
        for (job, body) in
            workflow["jobs"].as_object().unwrap().iter().filter(|(_, body)| !body["permissions"].is_null())
        {
            look(format!("{name}: {job}"), &body["permissions"]);
        }
    }
    assert_eq!(writing, ["image", "publish"].map(|job| format!(".github/workflows/release.yml: {job}")));
}

/// One copies a binary that was built before, the other builds it: what they make is the same.
#[test]
fn both_dockerfiles_make_the_same_image() {
    let image = |file: &str| {
        let text = shipped::read(file);
        let (_, stage) = text.rsplit_once("FROM scratch\n").unwrap_or_else(|| panic!("{file} is not FROM scratch"));
        stage.lines().filter(|line| !line.starts_with("COPY ") && !line.starts_with('#')).collect::<Vec<_>>().join("\n")
    };
    let shipped = image("Dockerfile");
    assert_eq!(image("Dockerfile.source"), shipped);
    // Kubernetes' runAsNonRoot cannot look a name up.
    assert!(shipped.contains("\nUSER 65534:65534\n"), "{shipped}");
}
