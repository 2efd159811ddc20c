//! Network policies: which of them select a pod, and whom they admit to it.

use std::collections::BTreeMap;

use serde_json::Value;

/// The labels of a pod.
type Labels = BTreeMap<String, String>;

/// A line for each of these `NetworkPolicies` that restricts who reaches a pod of the same namespace with these labels.
pub fn admitting(policies: &Value, labels: &Labels) -> Vec<String> {
    let restricts = |policy: &&Value| {
        // Without types a policy is one for ingress.
        let types = policy["spec"]["policyTypes"].as_array();
        types.is_none_or(|types| types.iter().any(|kind| kind == "Ingress"))
            && selects(&policy["spec"]["podSelector"], labels)
    };
    list(&policies["items"]).iter().filter(restricts).map(describe).collect()
}

fn describe(policy: &Value) -> String {
    let rules: Vec<String> = list(&policy["spec"]["ingress"]).iter().map(rule).collect();
    let admitted = if rules.is_empty() { "nobody".to_owned() } else { rules.join("; ") };
    format!("network policy {} admits to the exporters: {admitted}", text(&policy["metadata"]["name"]))
}

fn rule(rule: &Value) -> String {
    let peers: Vec<String> = list(&rule["from"]).iter().map(peer).collect();
    let peers = if peers.is_empty() { "anybody".to_owned() } else { peers.join(", ") };
    let ports: Vec<String> = list(&rule["ports"]).iter().map(|port| text(&port["port"])).collect();
    if ports.is_empty() { peers } else { format!("{peers} (port {})", ports.join(", ")) }
}

fn peer(peer: &Value) -> String {
    if let Some(block) = peer["ipBlock"]["cidr"].as_str() {
        return format!("addresses in {block}");
    }
    let pods = selector("pods", &peer["podSelector"]);
    match &peer["namespaceSelector"] {
        Value::Null => format!("{pods} of the same namespace"),
        namespaces => format!("{pods} of {}", selector("namespaces", namespaces)),
    }
}

/// What a selector selects: `pods with app=a`.
fn selector(what: &str, selector: &Value) -> String {
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let labels = labels.map(|(name, value)| format!("{name}={}", text(value)));
    let expressions = list(&selector["matchExpressions"]).iter().map(|expression| {
        let values: Vec<String> = list(&expression["values"]).iter().map(text).collect();
        format!("{} {} {}", text(&expression["key"]), text(&expression["operator"]), values.join("|"))
    });
    let conditions: Vec<String> = labels.chain(expressions).collect();
    if conditions.is_empty() { format!("any {what}") } else { format!("{what} with {}", conditions.join(" and ")) }
}

fn selects(selector: &Value, labels: &Labels) -> bool {
    let has = |(name, value): (&String, &Value)| labels.get(name).is_some_and(|has| value == has.as_str());
    let holds = |expression: &Value| {
        let value = labels.get(&text(&expression["key"]));
        let is_listed =
            || value.is_some_and(|value| list(&expression["values"]).iter().any(|one| one == value.as_str()));
        match expression["operator"].as_str() {
            Some("In") => is_listed(),
            Some("NotIn") => !is_listed(),
            Some("Exists") => value.is_some(),
            _ => value.is_none(),
        }
    };
    selector["matchLabels"].as_object().into_iter().flatten().all(has)
        && list(&selector["matchExpressions"]).iter().all(holds)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::workspace;

    fn policy(name: &str, spec: &Value) -> Value {
        json!({ "metadata": { "name": name }, "spec": spec })
    }

    fn told(policies: &[Value]) -> Vec<String> {
        let labels = [("app.kubernetes.io/name", "mini-node-exporter"), ("tier", "node")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        admitting(&json!({ "items": policies }), &labels)
    }

    #[test]
    fn the_shipped_policy_admits_prometheus_of_two_namespaces() {
        let file = workspace::root().join("kustomize/components/network-policy/network-policy.yaml");
        let shipped: Value = serde_saphyr::from_str(&fs_err::read_to_string(file).unwrap()).unwrap();
        assert_eq!(
            told(&[shipped]),
            [
                "network policy mini-node-exporter admits to the exporters: pods with app.kubernetes.io/name=prometheus of \
                 namespaces with kubernetes.io/metadata.name=monitoring, pods with app.kubernetes.io/name=prometheus of the \
                 same namespace (port 23333)"
            ]
        );
    }

    #[test]
    fn those_of_other_pods_and_of_the_other_direction_are_left_out() {
        let others = [
            policy("other", &json!({ "podSelector": { "matchLabels": { "tier": "web" } } })),
            policy("egress", &json!({ "podSelector": {}, "policyTypes": ["Egress"] })),
            policy(
                "in",
                &json!({ "podSelector": { "matchExpressions": [
                { "key": "tier", "operator": "In", "values": ["web", "cache"] }] } }),
            ),
            policy(
                "absent",
                &json!({ "podSelector": { "matchExpressions": [
                { "key": "tier", "operator": "DoesNotExist" }] } }),
            ),
        ];
        assert_eq!(told(&others), [""; 0]);
    }

    #[test]
    fn each_kind_of_peer_is_told() {
        let expression = json!({ "key": "tier", "operator": "NotIn", "values": ["web"] });
        let policies = [
            policy("default-deny", &json!({ "podSelector": {} })),
            policy("open", &json!({ "podSelector": { "matchExpressions": [expression] }, "ingress": [{}] })),
            policy(
                "mixed",
                &json!({ "podSelector": {}, "ingress": [{ "from": [
                { "ipBlock": { "cidr": "10.0.0.0/8" } },
                { "podSelector": {} },
                { "namespaceSelector": { "matchExpressions": [expression] } },
            ] }] }),
            ),
        ];
        let expected = [
            "default-deny admits to the exporters: nobody",
            "open admits to the exporters: anybody",
            "mixed admits to the exporters: addresses in 10.0.0.0/8, any pods of the same namespace, any pods of namespaces \
             with tier NotIn web",
        ];
        assert_eq!(told(&policies), expected.map(|line| format!("network policy {line}")));
    }
}
