//! No Grafana can be had where this is built, so these stand-ins answer as its documentation says, and in every way that
//! a broken one might. They prove the client's handling of answers, and nothing about Grafana.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

use super::*;

/// A server that gives the same answer to every request until the test ends.
struct StandIn {
    base: String,
}

impl StandIn {
    fn answering(status: &'static str, headers: &'static str, body: &'static str) -> Self {
        Self::acting(move |mut stream| {
            let mut request = [0; 16_384];
            let _ = stream.read(&mut request);
            let length = body.len();
            let _ = write!(stream, "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
        })
    }

    fn acting(act: impl Fn(TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || listener.incoming().flatten().for_each(act));
        Self { base }
    }

    fn client(&self) -> Grafana {
        Grafana::with_limit(&self.base, Duration::from_millis(300))
    }
}

fn query() -> Query {
    Query { owner: "panel 2 `Up`".into(), ref_id: "B".into(), expr: "up".into(), instant: true, needs_samples: true }
}

fn message<T: fmt::Debug>(result: Result<T>) -> String {
    format!("{:#}", result.unwrap_err())
}

#[test]
fn a_healthy_grafana_is_believed() {
    let grafana = StandIn::answering("200 OK", "", r#"{"commit": "x", "database": "ok", "version": "9.4.3"}"#);
    assert_eq!(grafana.client().healthy().unwrap(), "9.4.3");
    let grafana = StandIn::answering("200 OK", "", r#"{"status": "OK", "message": "it works"}"#);
    assert_eq!(grafana.client().datasource_healthy("x").unwrap(), "it works");
}

#[test]
fn samples_are_counted_over_all_frames() {
    let body = r#"{"results": {"A": {"status": 200, "frames": [
        {"schema": {"fields": []}, "data": {"values": [[1, 2], [0.5, 0.6]]}},
        {"schema": {"fields": []}, "data": {"values": [[1], [7]]}},
        {"schema": {"fields": []}, "data": {"values": []}}]}}}"#;
    assert_eq!(StandIn::answering("200 OK", "", body).client().samples("x", &query()).unwrap(), 3);
}

#[test]
fn a_failing_status_is_shown_with_address_and_the_start_of_the_body() {
    let body: &str = Box::leak(format!("{}END", "é".repeat(150)).into_boxed_str());
    let grafana = StandIn::answering("503 Service Unavailable", "", body);
    let shown = message(grafana.client().healthy());
    assert_eq!(shown, format!("GET {}/api/health: 503 Service Unavailable: {}", grafana.base, "é".repeat(100)));
}

#[test]
fn a_redirect_to_the_login_page_is_not_followed() {
    let grafana = StandIn::answering("302 Found", "Location: /login\r\n", "");
    assert_eq!(message(grafana.client().healthy()), format!("GET {}/api/health: 302 Found: ", grafana.base));
}

#[test]
fn what_is_not_json_is_shown() {
    let grafana = StandIn::answering("200 OK", "", "<html>hello</html>");
    assert!(message(grafana.client().healthy()).contains("/api/health: 200 OK, but not JSON: <html>hello</html>"));
}

#[test]
fn no_answer_ends_at_the_deadline() {
    let grafana = StandIn::acting(|stream| {
        // It reads and says nothing, until the client gives up and closes.
        let _ = (&stream).read_to_end(&mut Vec::new());
    });
    let shown = message(grafana.client().healthy());
    assert!(shown.starts_with(&format!("GET {}/api/health: timeout", grafana.base)), "{shown}");
}

#[test]
fn nobody_there_is_named() {
    let base = format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let shown = message(Grafana::new(&base).samples("x", &query()));
    assert!(shown.starts_with(&format!("POST {base}/api/ds/query: ")), "{shown}");
}

#[test]
fn an_unhealthy_database_or_data_source_fails() {
    let grafana = StandIn::answering("200 OK", "", r#"{"database": "failing"}"#);
    assert!(message(grafana.client().healthy()).contains("the database is not ok"));
    let grafana = StandIn::answering("200 OK", "", r#"{"status": "ERROR", "message": "connection refused"}"#);
    assert!(message(grafana.client().datasource_healthy("x")).contains("connection refused"));
}

#[test]
fn a_refused_query_says_why() {
    let grafana = StandIn::answering("207 Multi-Status", "", r#"{"results": {"A": {"error": "bad_data: no"}}}"#);
    assert!(message(grafana.client().samples("x", &query())).ends_with("/api/ds/query: bad_data: no"));
    let grafana = StandIn::answering("400 Bad Request", "", r#"{"results": {"A": {"error": "bad_data: no"}}}"#);
    assert!(message(grafana.client().samples("x", &query())).contains("400 Bad Request: {\"results\""));
}

#[test]
fn a_dashboard_that_agrees_with_its_file_is_loaded() {
    let file = serde_json::from_str(r#"{"uid": "u", "title": "t"}"#).unwrap();
    let grafana = StandIn::acting(|mut stream| {
        let mut request = [0; 16_384];
        let read = stream.read(&mut request).unwrap_or_default();
        let body = if request[..read].starts_with(b"GET /api/search?type=dash-db ") {
            r#"[{"uid": "other"}, {"uid": "u", "url": "/d/u/t"}]"#
        } else {
            r#"{"dashboard": {"uid": "u", "title": "t", "version": 1}, "meta": {"provisioned": true}}"#
        };
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    });
    assert_eq!(grafana.client().dashboard_loaded(&file).unwrap(), "/d/u/t");
    let file = serde_json::from_str(r#"{"uid": "u", "title": "other"}"#).unwrap();
    let shown = message(grafana.client().dashboard_loaded(&file));
    assert!(
        shown.ends_with("/api/dashboards/uid/u differs from the file: title: `t`, but `other` in the file"),
        "{shown}"
    );
}

#[test]
fn a_dashboard_that_is_not_there_is_named() {
    let file = serde_json::from_str(r#"{"uid": "u", "title": "t"}"#).unwrap();
    let grafana = StandIn::answering("200 OK", "", r#"[{"uid": "other"}]"#);
    assert!(message(grafana.client().dashboard_loaded(&file)).ends_with("/api/search: no dashboard has uid `u`"));
}
