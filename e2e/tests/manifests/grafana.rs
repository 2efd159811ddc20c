//! Provisioning is one copy for every backend, with blanks that the environment fills in.

use std::collections::BTreeMap;

use e2e::workspace;
use serde_json::{Value, json};

use crate::references;
use crate::render::{self, list, text, yaml};

#[test]
fn every_blank_of_provisioning_is_filled() {
    let environment = environment("stack");
    let mut blanks = Vec::new();
    for folder in ["datasources", "dashboards"] {
        let folder = workspace::root().join("grafana/provisioning").join(folder);
        for entry in fs_err::read_dir(folder).unwrap() {
            let file = fs_err::read_to_string(entry.unwrap().path()).unwrap();
            blanks.extend(file.split("${").skip(1).map(|rest| rest.split('}').next().unwrap().to_owned()));
        }
    }
    blanks.sort();
    assert_eq!(blanks, ["DASHBOARDS_DIR", "PROMETHEUS_URL", "SCRAPE_INTERVAL"]);
    for blank in blanks {
        assert!(environment.contains_key(blank.as_str()), "`{blank}` is not set in Deployment/grafana");
    }
}

#[test]
fn the_blanks_lead_to_the_dashboards_and_to_prometheus() {
    let rendering = render::named("stack");
    let environment = environment("stack");
    let service = rendering.object("Service", "prometheus");
    let url = format!("http://{}:{}", text(service, "/metadata/name"), service["spec"]["ports"][0]["port"]);
    assert_eq!(environment["PROMETHEUS_URL"], url);

    let pod = &rendering.object("Deployment", "grafana")["spec"]["template"]["spec"];
    let volume = list(pod, "/volumes")
        .iter()
        .find(|volume| text(volume, "/configMap/name").starts_with("grafana-dashboards-"))
        .unwrap();
    let mounts = list(pod, "/containers/0/volumeMounts");
    let mount = mounts.iter().find(|mount| mount["name"] == volume["name"]).unwrap();
    assert_eq!(environment["DASHBOARDS_DIR"], text(mount, "/mountPath"));
}

/// The dashboard and the contract tests know the datasource by this uid, and `$__rate_interval` needs the interval.
#[test]
fn the_datasource_has_its_uid_and_the_scrape_interval() {
    let provisioning = yaml(&workspace::root().join("grafana/provisioning/datasources/prometheus.yaml"));
    let [datasource] = list(&provisioning, "/datasources") else { panic!("there is one datasource") };
    assert_eq!(datasource["uid"], "mini-node-exporter-prometheus");
    assert_eq!(datasource["jsonData"]["timeInterval"], "${SCRAPE_INTERVAL}");
    for (tree, interval) in [("stack", "15s"), ("kind", "2s")] {
        assert_eq!(environment(tree)["SCRAPE_INTERVAL"], interval, "{tree}");
        assert_eq!(scrape_interval(tree), interval, "{tree}");
    }
}

/// What is changed in the browser would be lost with the pod.
#[test]
fn the_dashboard_cannot_be_changed_or_deleted_in_the_browser() {
    let provisioning = yaml(&workspace::root().join("grafana/provisioning/dashboards/mini-node-exporter.yaml"));
    for provider in list(&provisioning, "/providers") {
        let kept = (&provider["allowUiUpdates"], &provider["disableDeletion"]);
        assert_eq!(kept, (&json!(false), &json!(true)), "{}", provider["name"]);
    }
}

fn scrape_interval(tree: &str) -> String {
    let mut maps = render::named(tree).of_kind("ConfigMap");
    let config = maps.find_map(|map| map["data"]["prometheus.yml"].as_str()).unwrap();
    let config: Value = serde_saphyr::from_str(config).unwrap();
    text(&config, "/global/scrape_interval").to_owned()
}

#[test]
fn nothing_calls_home() {
    let environment = environment("stack");
    for (name, value) in [
        ("GF_ANALYTICS_REPORTING_ENABLED", "false"),
        ("GF_ANALYTICS_CHECK_FOR_UPDATES", "false"),
        ("GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES", "false"),
        ("GF_NEWS_NEWS_FEED_ENABLED", "false"),
        ("GF_PLUGINS_PREINSTALL_DISABLED", "true"),
        ("GF_USERS_ALLOW_SIGN_UP", "false"),
    ] {
        assert_eq!(environment.get(name).map(String::as_str), Some(value), "{name}");
    }
}

#[test]
fn only_the_lab_shows_grafana_without_a_login() {
    for rendering in render::all().iter().filter(|rendering| rendering.names("Deployment").contains("grafana")) {
        let environment = environment(&rendering.name);
        let anonymous = environment.get("GF_AUTH_ANONYMOUS_ENABLED").map(String::as_str);
        assert_eq!(anonymous, (rendering.name == "kind").then_some("true"), "{}", rendering.name);
    }
    assert_eq!(environment("kind")["GF_AUTH_ANONYMOUS_ORG_ROLE"], "Viewer");
}

#[test]
fn no_password_stands_in_the_manifests() {
    for rendering in render::all() {
        assert!(rendering.names("Secret").is_empty(), "{}: {:?}", rendering.name, rendering.names("Secret"));
    }
    let environment = environment("stack");
    assert!(!environment.contains_key("GF_SECURITY_ADMIN_PASSWORD"));
    let file = &environment["GF_SECURITY_ADMIN_PASSWORD__FILE"];

    let pod = &render::named("stack").object("Deployment", "grafana")["spec"]["template"]["spec"];
    let [init] = list(pod, "/initContainers") else { panic!("there is one init container") };
    assert_eq!(init["image"], pod["containers"][0]["image"]);
    let (directory, name) = file.rsplit_once('/').unwrap();
    let script = text(init, "/command/2");
    assert!(script.contains(&format!("cd {directory}\n")), "the init container does not write {file}: {script}");
    assert!(script.contains(&format!("> {name}\n")), "the init container does not write {file}: {script}");
    let secret = list(pod, "/volumes").iter().find(|volume| volume["name"] == "secret").unwrap();
    assert_eq!(secret["secret"], json!({"secretName": "grafana-admin", "optional": true}));
}

fn environment(tree: &str) -> BTreeMap<String, String> {
    let grafana = render::named(tree).object("Deployment", "grafana");
    references::environment(&grafana["spec"]["template"]["spec"]["containers"][0])
}
