//! Sends any bytes as a request: the response is empty, or one of the expected statuses and no fault of the server.

#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use mini_node_exporter::http::{ExporterOptions, ExporterState, router};
use mini_node_exporter::server::serve_stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::runtime::{Builder, Runtime};

/// More than libFuzzer sends and than any response, so that neither side waits for the other.
const ROOM: usize = 1 << 22;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_current_thread().enable_time().build().unwrap());
static ENDPOINTS: LazyLock<Arc<ExporterState>> = LazyLock::new(|| {
    let procfs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/ordinary-node/proc").into();
    ExporterState::new(ExporterOptions { procfs, ..ExporterOptions::default() })
});

fuzz_target!(|request: &[u8]| {
    let (mut client, server) = duplex(ROOM);
    let answer = RUNTIME.block_on(async {
        let ask = async {
            // It may have answered and closed before it has read everything.
            let _ = client.write_all(request).await;
            let _ = client.shutdown().await;
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.unwrap();
            answer
        };
        tokio::join!(serve_stream(server, router(ENDPOINTS.clone())), ask).1
    });
    if answer.is_empty() {
        return;
    }
    let head = String::from_utf8_lossy(&answer[..answer.len().min(13)]).into_owned();
    assert!(head.starts_with("HTTP/1.1 ") || head.starts_with("HTTP/1.0 "), "{head:?}");
    assert!(matches!(&head[9..12], "200" | "400" | "404" | "405" | "414" | "431"), "{head:?}");
});
