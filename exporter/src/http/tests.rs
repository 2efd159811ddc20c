//! The router through `oneshot`: what every endpoint answers, without a socket.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use prometheus::proto::MetricFamily;
use tower::ServiceExt;

use super::response::{self, TIMEOUT_HEADER};
use super::{ExporterOptions, ExporterState, readable_by, router};
use crate::collector::{self, Collector};
use crate::node::ReadSession;
use crate::procfs::{NODE_FILES, ProcFile, ReadError, ReadErrorKind};

#[tokio::test]
async fn info_is_the_bare_value_whatever_the_collector_flags_say() {
    let app = app(ExporterOptions { collectors: Vec::new(), ..ordinary() });
    for (path, value) in [
        ("/info/hostname", "worker-1"),
        ("/info/uptime", "1761.77"),
        ("/info/load", r#"{"1m":0.57,"5m":0.8,"15m":0.77}"#),
    ] {
        assert_eq!(get(&app, path).await.body, value, "{path}");
    }
}

#[tokio::test]
async fn a_given_name_is_the_hostname_everywhere() {
    let node_name = Some("given \"name\"".to_string());
    let app = app(ExporterOptions { node_name, ..fixture("bad-hostname-missing") });
    assert_eq!(get(&app, "/info/hostname").await.body, "given \"name\"");
    assert_eq!(get(&app, "/healthz/ready").await.status, StatusCode::OK);
    assert!(get(&app, "/metrics").await.body.contains("node_uptime{hostname=\"given \\\"name\\\"\"} 1761.77\n"));
}

#[tokio::test]
async fn readiness_needs_only_the_files_of_enabled_collectors_and_the_hostname() {
    let load: Vec<_> = collector::TABLE.iter().copied().filter(|one| one.name() == "load").collect();
    let ready = async |config| get(&app(config), "/healthz/ready").await;
    assert_eq!(ready(ExporterOptions { collectors: load.clone(), ..fixture("bad-uptime-missing") }).await.status, 200);
    let answer = ready(ExporterOptions { collectors: load, ..fixture("bad-loadavg-missing") }).await;
    assert_eq!(answer.status, 503);
    assert!(answer.body.ends_with("/proc/loadavg: No such file or directory (os error 2)\n"), "{}", answer.body);
    let answer = ready(ExporterOptions { collectors: Vec::new(), ..fixture("bad-hostname-empty") }).await;
    assert_eq!(answer.status, 503);
    assert!(answer.body.ends_with("/proc/sys/kernel/hostname: empty\n"), "{}", answer.body);
    let answer = ready(fixture("bad-every-file")).await;
    for file in NODE_FILES {
        assert_eq!(
            answer.body.matches(&format!("{file}: ")).count(),
            1,
            "{file} is bad, and named once: {}",
            answer.body
        );
    }
    assert_eq!(get(&app(fixture("bad-every-file")), "/healthz/live").await.status, 200);
}

#[tokio::test]
async fn the_landing_page_links_the_telemetry_path() {
    let app = app(ExporterOptions { telemetry_path: "/some/where".parse().unwrap(), ..ordinary() });
    let answer = get(&app, "/").await;
    assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
    assert!(answer.body.contains("<a href=\"/some/where\">"), "{}", answer.body);
    assert!(answer.body.contains(crate::build_info::VERSION), "{}", answer.body);
    assert_eq!(get(&app, "/some/where").await.status, StatusCode::OK);
    assert_eq!(get(&app, "/metrics").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let app = app(ExporterOptions { exporter_metrics: false, ..ordinary() });
    for path in ["/", "/info/hostname", "/info/uptime", "/info/load", "/healthz/live", "/healthz/ready", "/metrics"] {
        let (get, head) = (get(&app, path).await, ask(&app, Method::HEAD, path).await);
        assert_eq!((head.status, head.body.as_str()), (get.status, ""), "{path}");
        assert_eq!(head.headers["content-type"], get.headers["content-type"], "{path}");
    }
}

#[tokio::test]
async fn other_methods_are_told_which_are_allowed() {
    let app = app(ordinary());
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
        for path in ["/", "/metrics", "/info/load", "/healthz/ready"] {
            let answer = ask(&app, method.clone(), path).await;
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            assert_eq!(answer.headers["allow"], "GET,HEAD", "{method} {path}");
        }
    }
}

#[tokio::test]
async fn other_paths_are_not_found() {
    for path in ["/metric", "/metrics/", "/info", "/info/", "/healthz", "/../metrics", "/%6Detrics", "//"] {
        assert_eq!(get(&app(ordinary()), path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_query_filters_metrics_by_name() {
    let app = app(ordinary());
    let answer = get(&app, "/metrics?name[]=node_uptime").await;
    let uptime = "node_uptime{hostname=\"worker-1\"} 1761.77\n";
    assert_eq!(
        answer.body,
        format!("# HELP node_uptime Seconds since the node booted.\n# TYPE node_uptime gauge\n{uptime}")
    );
    let answer = get(&app, "/metrics?name[]=node_uptime&collect[]=load").await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, ""));
}

#[tokio::test]
async fn pages_of_other_origins_may_read_only_where_a_flag_allows_it() {
    let asked_by = async |app: &Router, method: Method, origin: &str| {
        let request = Request::builder().method(method).uri("/info/load").header("origin", origin);
        let request = request.header("access-control-request-method", "GET").body(Body::empty()).unwrap();
        app.clone().oneshot(request).await.unwrap()
    };
    let allowed =
        |response: &axum::http::Response<Body>| response.headers().get("access-control-allow-origin").cloned();
    let nobody = asked_by(&app(ordinary()), Method::GET, "https://a.example").await;
    assert_eq!((allowed(&nobody), nobody.headers().get("vary")), (None, None));
    let app = readable_by(r"https://(a|b)\.example".parse().unwrap(), app(ordinary()));
    for (origin, is_allowed) in [
        ("https://a.example", true),
        ("https://b.example", true),
        ("https://c.example", false),
        ("https://a.example.org", false),
        ("http://https://a.example", false),
        ("https://aXexample", false),
    ] {
        let answer = asked_by(&app, Method::GET, origin).await;
        assert_eq!(answer.status(), StatusCode::OK, "{origin}");
        assert_eq!(allowed(&answer), is_allowed.then(|| origin.parse().unwrap()), "{origin}");
        assert_eq!(answer.headers()["vary"], "Origin", "{origin}");
        // A browser's preflight request, which has no password.
        let answer = asked_by(&app, Method::OPTIONS, origin).await;
        assert_eq!(answer.status().as_u16(), if is_allowed { 204 } else { 405 }, "{origin}");
        assert_eq!(allowed(&answer).is_some(), is_allowed, "{origin}");
        assert_eq!(answer.headers().contains_key("access-control-allow-headers"), is_allowed, "{origin}");
    }
}

#[tokio::test]
async fn exporter_metrics_can_be_left_out() {
    let answer = get(&app(ExporterOptions { exporter_metrics: false, ..ordinary() }), "/metrics").await;
    assert!(!answer.body.contains("process_"), "{}", answer.body);
    assert!(answer.body.contains("mini_node_exporter_build_info{"), "{}", answer.body);
}

#[tokio::test]
async fn a_scrape_counts_until_its_body_is_dropped() {
    let app = app(ExporterOptions { max_requests: 1, ..ordinary() });
    let first = send(&app, Method::GET, "/metrics").await;
    assert_eq!(first.status(), StatusCode::OK);
    assert_eq!(get(&app, "/metrics").await.status, StatusCode::SERVICE_UNAVAILABLE);
    for other in ["/healthz/live", "/healthz/ready", "/"] {
        assert_eq!(get(&app, other).await.status, StatusCode::OK, "{other}");
    }
    drop(first);
    assert_eq!(get(&app, "/metrics").await.status, StatusCode::OK);
    assert_eq!(get(&app, "/metrics?collect[]=nope").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(get(&app, "/metrics").await.status, StatusCode::OK, "a refused scrape is no longer counted");
}

#[tokio::test]
async fn no_limit_is_no_limit() {
    let app = app(ExporterOptions { max_requests: 0, ..ordinary() });
    let mut open = Vec::new();
    for _ in 0..100 {
        let response = send(&app, Method::GET, "/metrics").await;
        assert_eq!(response.status(), StatusCode::OK);
        open.push(response);
    }
}

/// Returns a family without samples, which the encoder refuses.
struct EmptyFamilyCollector;

impl Collector for EmptyFamilyCollector {
    fn name(&self) -> &'static str {
        "empty"
    }

    fn help(&self) -> &'static str {
        "a family without samples"
    }

    fn files(&self) -> &'static [&'static str] {
        &[]
    }

    fn collect(&self, _: &ReadSession<'_>) -> Result<Vec<MetricFamily>, ReadError> {
        let mut family = MetricFamily::default();
        family.set_name("secret".to_string());
        Ok(vec![family])
    }
}

#[tokio::test]
async fn a_family_that_cannot_be_encoded_is_an_error_of_the_server() {
    let answer = get(&app(ExporterOptions { collectors: vec![&EmptyFamilyCollector], ..ordinary() }), "/metrics").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.body, "cannot encode the metrics; see the log\n");
}

/// A file whose read hangs while its test says so.
struct HangingFile<const TEST: usize>;

static HANGS: [AtomicBool; 3] = [const { AtomicBool::new(true) }; 3];

impl<const TEST: usize> ProcFile for HangingFile<TEST> {
    const PATH: &'static str = "uptime";

    fn parse(_: &str) -> Result<Self, ReadErrorKind> {
        while HANGS[TEST].load(SeqCst) {
            std::thread::park_timeout(Duration::from_millis(10));
        }
        Ok(Self)
    }
}

impl<const TEST: usize> Collector for HangingFile<TEST> {
    fn name(&self) -> &'static str {
        "hanging"
    }

    fn help(&self) -> &'static str {
        "reads a file that hangs"
    }

    fn files(&self) -> &'static [&'static str] {
        &[Self::PATH]
    }

    fn collect(&self, session: &ReadSession<'_>) -> Result<Vec<MetricFamily>, ReadError> {
        session.read::<Self>().map(|_| Vec::new())
    }
}

async fn get_within(app: &Router, path: &str, seconds: &str) -> Answer {
    let request = Request::get(path).header(TIMEOUT_HEADER, seconds).body(Body::empty()).unwrap();
    answer(app.clone().oneshot(request).await.unwrap()).await
}

#[tokio::test]
async fn a_hung_tree_fails_its_collectors_and_gives_the_scrapes_back() {
    let app = app(ExporterOptions { max_requests: 1, collectors: vec![&HangingFile::<0>], ..ordinary() });
    let began = Instant::now();
    // The first takes all its time, the others fail at once.
    for seconds in ["3", "60", "60"] {
        let answer = get_within(&app, "/metrics", seconds).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert!(answer.body.contains("node_scrape_collector_success{collector=\"hanging\"} 0\n"), "{}", answer.body);
    }
    for (path, status) in [("/info/load", 500), ("/healthz/ready", 503)] {
        let answer = get_within(&app, path, "60").await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.body.ends_with("/proc/uptime: a previous read is still blocked\n"), "{path}: {}", answer.body);
    }
    let took = began.elapsed();
    assert!(took > Duration::from_secs(2) && took < SOON, "{took:?}");
    HANGS[0].store(false, SeqCst);
    while get(&app, "/healthz/ready").await.status != StatusCode::OK {
        assert!(began.elapsed() < SOON * 2, "it does not heal");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn info_counts_as_a_request_on_a_tree_that_can_hang() {
    let app = app(ExporterOptions { max_requests: 2, collectors: vec![&HangingFile::<1>], ..ordinary() });
    let (scrape, info, third) = tokio::join!(
        get_within(&app, "/metrics", "3"),
        get_within(&app, "/info/load", "60"),
        get_within(&app, "/info/load", "60"),
    );
    assert_eq!(
        (scrape.status.as_u16(), info.status.as_u16(), third.status.as_u16()),
        (200, 500, 503),
        "{}",
        third.body
    );
    HANGS[1].store(false, SeqCst);
}

#[tokio::test]
async fn readiness_checks_of_a_tree_that_can_hang_are_limited() {
    let app = app(ExporterOptions { collectors: vec![&HangingFile::<2>], ..ordinary() });
    let mut checks = tokio::task::JoinSet::new();
    for _ in 0..9 {
        let app = app.clone();
        checks.spawn(async move { get(&app, "/healthz/ready").await });
    }
    let refused = checks.join_next().await.unwrap().unwrap();
    assert_eq!(refused.body, "too many concurrent readiness checks: limit is 8\n");
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    HANGS[2].store(false, SeqCst);
    for answer in checks.join_all().await {
        assert_eq!(answer.body, "ok\n");
    }
}

#[test]
fn the_response_is_sent_before_prometheus_gives_up() {
    let timeout = |sent: &str| {
        let request = Request::get("/").header(TIMEOUT_HEADER, sent).body(()).unwrap();
        response::timeout(request.headers()).as_secs_f64()
    };
    for (sent, seconds) in [("15.5", 15.0), ("0.6", 0.3), ("60", 59.5), ("61", 59.5), ("3600", 59.5), ("inf", 59.5)] {
        assert!((timeout(sent) - seconds).abs() < 1e-9, "{sent}: {}", timeout(sent));
    }
    for sent in ["", "0", "-1", "NaN", "10s"] {
        assert!((timeout(sent) - 9.5).abs() < 1e-9, "{sent}: {}", timeout(sent));
    }
}

/// Nothing here takes as long, on the busiest machine.
const SOON: Duration = Duration::from_secs(20);

/// A collector that says when it has begun, and then waits until it is let go.
struct WaitingCollector {
    began: SyncSender<()>,
    go: Mutex<Receiver<()>>,
}

impl Collector for WaitingCollector {
    fn name(&self) -> &'static str {
        "waits"
    }

    fn help(&self) -> &'static str {
        "waits to be let go"
    }

    fn files(&self) -> &'static [&'static str] {
        &[]
    }

    fn collect(&self, _: &ReadSession<'_>) -> Result<Vec<MetricFamily>, ReadError> {
        self.began.send(()).unwrap();
        self.go.lock().unwrap().recv_timeout(SOON).unwrap();
        Ok(Vec::new())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_scrape_counts_from_its_start() {
    let (began, has_begun) = sync_channel(2);
    let (go, wait) = sync_channel(2);
    let waits: &'static WaitingCollector = Box::leak(Box::new(WaitingCollector { began, go: Mutex::new(wait) }));
    // On the kernel's own tree collectors run where they are asked for, on as many threads as this test has.
    let app = app(ExporterOptions { max_requests: 2, collectors: vec![waits], ..ExporterOptions::default() });
    let scrape = || {
        let app = app.clone();
        tokio::spawn(async move { get(&app, "/metrics").await.status })
    };
    let under_way = [scrape(), scrape()];
    tokio::task::spawn_blocking(move || {
        has_begun.recv_timeout(SOON).unwrap();
        has_begun.recv_timeout(SOON).unwrap();
    })
    .await
    .unwrap();
    let refused = get(&app, "/metrics").await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.body.starts_with("too many concurrent requests: limit is 2"), "{}", refused.body);
    go.send(()).unwrap();
    go.send(()).unwrap();
    for scrape in under_way {
        assert_eq!(scrape.await.unwrap(), StatusCode::OK);
    }
    assert_eq!(get(&app, "/metrics?exclude[]=waits").await.status, StatusCode::OK);
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

fn fixture(case: &str) -> ExporterOptions {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures");
    ExporterOptions { procfs: format!("{fixtures}/{case}/proc").into(), ..ExporterOptions::default() }
}

fn ordinary() -> ExporterOptions {
    fixture("ordinary-node")
}

fn app(config: ExporterOptions) -> Router {
    router(ExporterState::new(config))
}

async fn get(app: &Router, path: &str) -> Answer {
    ask(app, Method::GET, path).await
}

async fn ask(app: &Router, method: Method, path: &str) -> Answer {
    answer(send(app, method, path).await).await
}

async fn answer(response: axum::http::Response<Body>) -> Answer {
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    Answer { status, headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

async fn send(app: &Router, method: Method, path: &str) -> axum::http::Response<Body> {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    app.clone().oneshot(request).await.unwrap()
}
