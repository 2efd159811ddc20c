//! Asks the router in process.

use std::sync::mpsc::channel;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use mini_node_exporter::http::{self, ExporterOptions, ExporterState};
use tower::ServiceExt;

use super::running::SOON;

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub body: String,
}

/// Fails, rather than hang, where opening a file does.
#[track_caller]
pub fn get(config: ExporterOptions, path: &str) -> Answer {
    let (sender, answer) = channel();
    let router = http::router(ExporterState::new(config));
    let asked = path.to_string();
    std::thread::spawn(move || sender.send(ask(&router, &asked)));
    answer.recv_timeout(SOON).unwrap_or_else(|error| panic!("no answer to {path}: {error}"))
}

/// Asks a router that may be asked again.
pub fn ask(router: &Router, path: &str) -> Answer {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let response = router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let content_type = response.headers()["content-type"].to_str().unwrap().to_string();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Answer { status, content_type, body: String::from_utf8(body.to_vec()).unwrap() }
    })
}
