//! The shell blocks of `docs/runbook.md`.

use e2e::workspace;

/// The node that the page names.
pub const NODE: &str = "worker-1";

/// The block that sets `NODE` and `POD`, which every other one needs.
pub struct Runbook {
    pub variables: String,
    pub blocks: Vec<String>,
}

/// Reads the blocks, without the indentation of the list that they are part of.
pub fn read() -> Runbook {
    let page = fs_err::read_to_string(workspace::root().join("docs/runbook.md")).unwrap();
    let mut blocks = Vec::new();
    let mut open: Option<String> = None;
    for line in page.lines() {
        match (line.trim(), &mut open) {
            ("```sh", None) => open = Some(String::new()),
            ("```", Some(_)) => blocks.extend(open.take()),
            (line, Some(block)) => {
                block.push_str(line);
                block.push('\n');
            }
            _ => {}
        }
    }
    let variables = blocks.remove(0);
    assert!(variables.starts_with(&format!("NODE={NODE}\nPOD=")), "the first block sets NODE and POD: {variables}");
    Runbook { variables, blocks }
}
