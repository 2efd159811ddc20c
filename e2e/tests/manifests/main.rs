//! The manifests, rendered by `kubectl kustomize` and read as documents. Nothing here needs a cluster.
//!
//! | module | what it proves |
//! |---|---|
//! | `snapshots` | each tree renders to what was last reviewed |
//! | `pod_security` | every pod meets the restricted Pod Security Standard |
//! | `workloads` | images, probes, resources, accounts and tokens of every workload |
//! | `references` | selectors, ports, generated names and volumes fit together |
//! | `scrape` | which pods become targets, and with which labels; the same for prometheus-operator |
//! | `components` | every component with every other, on every tree that they are for |
//! | `examples` | what the examples promise to Flux, Argo CD, cert-manager and others |
//! | `runbook` | what the commands of the runbook name, and that kubectl accepts them |
//! | `overlays` | what each overlay promises, and that one outside the tree can change it |
//! | `grafana` | the environment fills what provisioning leaves open, and nothing calls home |

mod components;
mod examples;
mod grafana;
mod overlays;
mod pod_security;
mod references;
mod render;
mod runbook;
mod scrape;
mod snapshots;
#[path = "../support/runbook.rs"]
mod support;
mod workloads;
