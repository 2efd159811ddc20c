//! The receiver of the lab's pages: a webhook on loopback, which writes each to a log and keeps it.

use std::io::{self, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::SystemTime;

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use fs_err as fs;
use tokio::sync::oneshot;

use crate::client::alertmanager::{Page, Pages};

/// A running sink. Dropping it closes its port.
pub(super) struct Sink {
    pub address: String,
    pub pages: Pages,
    _running: oneshot::Sender<()>,
}

impl Sink {
    /// Listens on a free port of loopback; the log has a line for each page.
    pub fn start(log: PathBuf) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?.to_string();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (pages, (running, ended)) = (Pages::default(), oneshot::channel());
        let router = router(pages.clone(), log);
        thread::spawn(move || {
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                tokio::select! {
                    served = async { axum::serve(listener, router).await } => served,
                    _ = ended => Ok(()),
                }
            })
        });
        Ok(Self { address, pages, _running: running })
    }
}

fn router(pages: Pages, log: PathBuf) -> Router {
    let receive = move |body: Bytes| async move {
        let Ok(page) = serde_json::from_slice::<Page>(&body) else { return StatusCode::BAD_REQUEST };
        // A page that cannot be logged was received all the same.
        let _ = append(&log, &page);
        pages.add(page);
        StatusCode::OK
    };
    // A page of thousands of nodes is larger than axum's limit.
    Router::new().fallback(receive).layer(DefaultBodyLimit::disable())
}

fn append(log: &Path, page: &Page) -> io::Result<()> {
    let time = humantime::format_rfc3339_millis(SystemTime::now());
    let mut names: Vec<&str> =
        page.alerts.iter().filter_map(|alert| Some(alert.labels.get("alertname")?.as_str())).collect();
    names.dedup();
    let (Page { receiver, status, alerts }, names) = (page, names.join(","));
    let mut file = fs::OpenOptions::new().create(true).append(true).open(log)?;
    writeln!(file, "time={time} msg=page status={status} receiver={receiver:?} alerts={} names={names}", alerts.len())
}
