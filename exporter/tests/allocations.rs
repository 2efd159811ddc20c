//! What a scrape allocates: a budget that does not depend on the machine or the day.
//!
//! It covers the exporter's own part, from the request to the text; hyper's buffers come on top.

use std::alloc::System;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use mini_node_exporter::http::{self, ExporterOptions, ExporterState};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};
use tower::ServiceExt;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SCRAPES: usize = 1000;

/// The most allocations that a scrape may make.
const ALLOCATIONS: usize = 140;

/// One test, because the allocator counts what the whole process does.
#[test]
fn a_scrape_allocates_little_and_keeps_nothing() {
    let scraped = scrapes();
    let allocations = (scraped.allocations + scraped.reallocations) / SCRAPES;
    assert!(allocations <= ALLOCATIONS, "{allocations} allocations a scrape, more than {ALLOCATIONS}");
    let kept = scraped.bytes_allocated.abs_diff(scraped.bytes_deallocated);
    assert!(kept < SCRAPES, "{SCRAPES} scrapes leave {kept} bytes allocated: memory grows with the number of scrapes");
}

/// Counts what scrapes of the kernel's own tree do, after the first ones have opened the descriptors that are kept.
fn scrapes() -> Stats {
    let router = http::router(ExporterState::new(ExporterOptions::default()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let scrape = async || {
            let request = Request::get("/metrics").body(Body::empty()).unwrap();
            let answer = router.clone().oneshot(request).await.unwrap();
            assert!(answer.status().is_success());
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            assert!(body.ends_with(b"\n"));
        };
        for _ in 0..10 {
            scrape().await;
        }
        let region = Region::new(ALLOCATOR);
        for _ in 0..SCRAPES {
            scrape().await;
        }
        region.change()
    })
}
