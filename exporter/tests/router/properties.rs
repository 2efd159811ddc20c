//! What holds for any input, tried on random ones. `PROPTEST_CASES` says how many.

use crate::support::router::get;
use mini_node_exporter::http::{ExporterOptions, TelemetryPath};
use mini_node_exporter::procfs::{Hostname, LoadAverage, ProcFile, ProcessStat, ReadErrorKind, Uptime};
use mini_node_exporter::server::ListenAddress;
use proptest::prelude::*;

/// As the kernel writes them.
const NUMBER: &str = "[0-9]{1,15}(\\.[0-9]{1,9})?";
/// Text that comes close to being a file of numbers.
const ALMOST: &str = "[-+0-9.eE \\t\\n/naif]{0,40}";

fn is_number(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('.').map_or_else(|| digits(text), |(whole, fraction)| digits(whole) && digits(fraction))
}

/// A reason is shown to every client: one short line, and nothing of the file.
fn assert_says_nothing(reason: ReadErrorKind, text: &str) -> Result<(), TestCaseError> {
    let shown = reason.to_string();
    prop_assert!(shown.len() < 300 && shown.lines().count() == 1, "{shown}");
    let secret = text.split_ascii_whitespace().find(|word| word.len() > 8 && shown.contains(word));
    prop_assert!(secret.is_none(), "{secret:?} is in {shown}");
    Ok(())
}

fn ordinary() -> ExporterOptions {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/ordinary-node/proc");
    ExporterOptions { procfs: root.into(), ..ExporterOptions::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_uptime_is_what_stands_there_or_is_bad(text in prop_oneof![any::<String>(), ALMOST]) {
        match Uptime::parse(&text) {
            Ok(uptime) => {
                prop_assert!(is_number(&uptime.written), "{uptime:?}");
                prop_assert!(text.trim_start_matches([' ', '\t']).starts_with(&uptime.written));
                prop_assert_eq!(Ok(uptime.seconds), uptime.written.parse());
                prop_assert!(uptime.seconds.is_finite() && uptime.seconds >= 0.0);
            }
            Err(reason) => assert_says_nothing(reason, &text)?,
        }
    }

    #[test]
    fn a_good_uptime_is_read_whatever_follows(number in NUMBER, rest in "([ \\t\\n][^\\x00]{0,20})?") {
        prop_assert_eq!(Uptime::parse(&format!("{number}{rest}")).map(|uptime| uptime.written), Ok(number));
    }

    #[test]
    fn load_averages_are_the_first_three_numbers_or_bad(text in prop_oneof![any::<String>(), ALMOST]) {
        let line = text.lines().next().unwrap_or_default();
        let words: Vec<&str> = line.split_ascii_whitespace().take(3).collect();
        match LoadAverage::parse(&text) {
            Ok(load) => {
                prop_assert!(words.len() == 3 && words.iter().all(|word| is_number(word)), "{words:?}");
                prop_assert!(line.split_ascii_whitespace().nth(3) != Some("0/0"), "{line}");
                let read: Vec<f64> = words.iter().map(|word| word.parse().unwrap()).collect();
                prop_assert_eq!(read, [load.one, load.five, load.fifteen]);
            }
            Err(ReadErrorKind::ZeroThreads) => prop_assert_eq!(line.split_ascii_whitespace().nth(3), Some("0/0")),
            Err(reason) => {
                prop_assert!(words.len() < 3 || !words.iter().all(|word| is_number(word)), "{words:?}: {reason}");
                assert_says_nothing(reason, &text)?;
            }
        }
    }

    #[test]
    fn a_hostname_can_be_a_label(text in prop_oneof![any::<String>(), "[ \\n\\ta-z.]{0,12}"]) {
        match Hostname::parse(&text) {
            Ok(Hostname(name)) => {
                prop_assert_eq!(&name, text.trim());
                prop_assert!(!name.is_empty() && !name.contains(char::is_control), "{name:?}");
                prop_assert_eq!(Hostname::parse(&name), Ok(Hostname(name.clone())));
            }
            Err(reason) => assert_says_nothing(reason, &text)?,
        }
    }

    #[test]
    fn a_program_can_have_any_name(name in "[^\\n]{0,16}", threads in any::<u64>(), rss in any::<u64>()) {
        let line = format!("7 ({name}) S 1 1 1 0 -1 0 0 0 0 0 3 4 0 0 20 0 {threads} 0 8 9 {rss} 1 1\n");
        let stat = ProcessStat::parse(&line);
        let expected =
            ProcessStat { cpu_ticks: 7, threads, start_ticks: 8, virtual_bytes: 9, resident_pages: rss };
        prop_assert_eq!(stat, Ok(expected));
    }

    #[test]
    fn no_text_breaks_the_parser_of_a_process(text in any::<String>()) {
        if let Err(reason) = ProcessStat::parse(&text) {
            assert_says_nothing(reason, &text)?;
        }
    }

    #[test]
    fn an_address_reads_back_as_itself(text in "(localhost|[0-9a-f:.\\[\\]]{0,12}):[0-9]{0,6}") {
        if let Ok(address) = text.parse::<ListenAddress>() {
            prop_assert_eq!(address.to_string().parse(), Ok(address));
        }
    }

    /// The router would panic on a path that overlaps with another, or that is a pattern.
    #[test]
    fn every_telemetry_path_that_is_taken_is_answered(path in "/[a-z{}:*%._-]{0,4}(/[a-z{}:*._-]{0,4}){0,2}") {
        if let Ok(telemetry_path) = path.parse::<TelemetryPath>() {
            let answer = get(ExporterOptions { telemetry_path, ..ordinary() }, &path);
            prop_assert_eq!(answer.status, 200);
        }
    }

    /// Keys and names in any order, some of them unknown, against what docs/reference.md says about them.
    #[test]
    fn a_query_chooses_collectors_or_is_refused(
        pairs in prop::collection::vec((0..4_usize, 0..4_usize), 0..5),
        escaped in any::<bool>(),
    ) {
        let keys = if escaped { ["collect%5B%5D", "exclude%5B%5D", "x", "format"] } else { ["collect[]", "exclude[]", "x", "format"] };
        let names = ["load", "uptime", "nope", ""];
        let query: Vec<String> = pairs.iter().map(|&(key, name)| format!("{}={}", keys[key], names[name])).collect();
        let answer = get(ordinary(), &format!("/metrics?{}", query.join("&")));
        let of = |key: usize| pairs.iter().filter(move |pair| pair.0 == key).map(|pair| pair.1);
        let (collect, exclude): (Vec<usize>, Vec<usize>) = (of(0).collect(), of(1).collect());
        let unknown = collect.iter().chain(&exclude).any(|&name| name > 1);
        if unknown || (!collect.is_empty() && !exclude.is_empty()) {
            prop_assert_eq!(answer.status, 400);
            prop_assert_eq!(answer.body.lines().count(), 1);
        } else {
            prop_assert_eq!(answer.status, 200);
            for (number, name) in names[..2].iter().enumerate() {
                let runs = (collect.is_empty() || collect.contains(&number)) && !exclude.contains(&number);
                let line = format!("node_scrape_collector_success{{collector=\"{name}\"}} 1\n");
                prop_assert_eq!(answer.body.contains(&line), runs, "{} of {}", name, query.join("&"));
            }
        }
    }

    /// Any bytes at all, as far as a request line can carry them.
    #[test]
    fn no_query_is_an_error_of_the_server(query in "[a-z0-9%&=+;/?:@!$'()*,._~\\[\\]-]{0,60}") {
        let answer = get(ordinary(), &format!("/metrics?{query}"));
        prop_assert!(matches!(answer.status, 200 | 400), "{query}: {answer:?}");
    }
}
