//! How a project is described: by flags of `lab up` and `lab check`, or by the same keys in `lab.toml`.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use fs_err as fs;
use serde::{Deserialize, Deserializer};

/// The file's usual name.
pub const FILE: &str = "lab.toml";

/// What a lab is put around. Each flag is a key of the file, too.
#[derive(Clone, Debug, Default, Args, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Description {
    /// Scrape this program, which already runs, instead of mini-node-exporter; may be repeated. The path is /metrics unless
    /// named, and `https://` before it means TLS.
    #[arg(long, value_name = "HOST:PORT[/PATH]")]
    #[serde(deserialize_with = "list")]
    pub target: Vec<Endpoint>,
    /// Start this program, without a shell, and stop it with the lab; `--target` is where it answers.
    #[arg(long, value_name = "COMMAND")]
    #[serde(deserialize_with = "value")]
    pub command: Option<CommandLine>,
    /// The name of the scrape job: by default `target` with `--target`, and mini-node-exporter otherwise.
    #[arg(long, value_name = "NAME")]
    pub job: Option<String>,
    /// How often Prometheus scrapes the targets, such as `15s`; 1s by default.
    #[arg(long, value_name = "TIME")]
    #[serde(deserialize_with = "value")]
    pub scrape_interval: Option<humantime::Duration>,
    /// Use these rules: a file, a folder's *.yml and *.yaml, or a pattern; may be repeated.
    #[arg(long, value_name = "FILE|DIR|GLOB")]
    #[serde(deserialize_with = "list")]
    pub rules: Vec<String>,
    /// Use these dashboards: a file, a folder's *.json, or a pattern; may be repeated.
    #[arg(long, value_name = "FILE|DIR|GLOB")]
    #[serde(deserialize_with = "list")]
    pub dashboards: Vec<String>,
    /// Start Alertmanager with this configuration, in which the lab itself takes the place of every receiver.
    #[arg(long, value_name = "FILE")]
    pub alertmanager_config: Option<PathBuf>,
}

/// Where a target is scraped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub scheme: String,
    /// `HOST:PORT`.
    pub address: String,
    pub path: String,
}

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    pub program: PathBuf,
    pub args: Vec<String>,
    /// The directory that it runs in.
    pub dir: PathBuf,
}

impl Description {
    /// Reads a file. Paths in it are relative to its folder.
    pub fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file)?;
        let mut read = parse(&text).with_context(|| file.display().to_string())?;
        let dir = std::path::absolute(file)?.parent().context("no folder")?.to_owned();
        for name in read.rules.iter_mut().chain(&mut read.dashboards) {
            *name = dir.join(&*name).display().to_string();
        }
        if let Some(config) = &mut read.alertmanager_config {
            *config = dir.join(&config);
        }
        if let Some(command) = &mut read.command {
            command.dir = dir;
        }
        Ok(read)
    }

    /// Takes from another description what this one does not have.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        fn first<T>(one: Vec<T>, other: Vec<T>) -> Vec<T> {
            if one.is_empty() { other } else { one }
        }
        // A command answers at a target of its own.
        let command = self.command.or(if self.target.is_empty() { other.command } else { None });
        Self {
            target: first(self.target, other.target),
            command,
            job: self.job.or(other.job),
            scrape_interval: self.scrape_interval.or(other.scrape_interval),
            rules: first(self.rules, other.rules),
            dashboards: first(self.dashboards, other.dashboards),
            alertmanager_config: self.alertmanager_config.or(other.alertmanager_config),
        }
    }
}

fn parse(text: &str) -> Result<Description> {
    let located = |error: toml::de::Error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        anyhow!("line {line}: {}", error.message())
    };
    let table: toml::Table = text.parse().map_err(located)?;
    let flags = Description::augment_args(clap::Command::new(FILE));
    let known: Vec<&str> = flags.get_arguments().filter_map(clap::Arg::get_long).collect();
    if let Some(key) = table.keys().find(|key| !known.contains(&key.as_str())) {
        let nearest = known.iter().min_by_key(|name| strsim::levenshtein(name, key)).copied().unwrap_or_default();
        return Err(anyhow!("unknown key `{key}`; the nearest one is `{nearest}`"));
    }
    toml::from_str(text).map_err(located)
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || "expected HOST:PORT[/PATH], or a URL with http or https".to_owned();
        let url = url(text).ok_or_else(invalid)?;
        let (scheme, rest) = url.split_once("://").ok_or_else(invalid)?;
        let (host, path) = rest.find('/').map_or((rest, "/metrics"), |at| rest.split_at(at));
        if host.is_empty() || host.starts_with(':') || text.contains(|c: char| c.is_whitespace() || "@?#".contains(c)) {
            return Err(invalid());
        }
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let port = if scheme == "https" { 443 } else { 80 };
        let address = if has_port { host.to_owned() } else { format!("{host}:{port}") };
        Ok(Self { scheme: scheme.to_owned(), address, path: path.to_owned() })
    }
}

impl Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.address, self.path)
    }
}

impl FromStr for CommandLine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = shlex::split(text).ok_or("a quote is not closed")?.into_iter();
        let program = words.next().ok_or("it names no program")?.into();
        let dir = std::env::current_dir().map_err(|error| error.to_string())?;
        Ok(Self { program, args: words.collect(), dir })
    }
}

/// The URL that `http://…`, `https://…`, `HOST:PORT` or `:PORT` stands for.
pub fn url(text: &str) -> Option<String> {
    if let Some((scheme, rest)) = text.split_once("://") {
        let scheme = scheme.to_lowercase();
        return ["http", "https"].contains(&&*scheme).then(|| format!("{scheme}://{rest}"));
    }
    let (host, port) = text.split('/').next()?.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    Some(format!("http://{}{text}", if host.is_empty() { "localhost" } else { "" }))
}

/// A value from its text.
fn value<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(deserializer: D) -> Result<Option<T>, D::Error> {
    from_text(&String::deserialize(deserializer)?).map(Some)
}

/// Values from one text or a list of texts.
fn list<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a string or a list of strings")]
    enum Texts {
        One(String),
        Several(Vec<String>),
    }
    match Texts::deserialize(deserializer)? {
        Texts::One(text) => from_text(&text).map(|value| vec![value]),
        Texts::Several(texts) => texts.iter().map(|text| from_text(text)).collect(),
    }
}

fn from_text<E: serde::de::Error, T: FromStr<Err: Display>>(text: &str) -> Result<T, E> {
    text.parse().map_err(|error| E::custom(format!("invalid value `{text}`: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_an_address_with_a_path_or_a_url() {
        let shown = |text: &str| text.parse::<Endpoint>().map(|endpoint| endpoint.to_string());
        for (text, url) in [
            ("127.0.0.1:9100", "http://127.0.0.1:9100/metrics"),
            (":9100", "http://localhost:9100/metrics"),
            ("[::1]:9100/", "http://[::1]:9100/"),
            ("app.example:80/internal/metrics", "http://app.example:80/internal/metrics"),
            ("https://app.example", "https://app.example:443/metrics"),
            ("HTTP://app.example/m", "http://app.example:80/m"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(url), "{text}");
        }
        for text in ["", "app", "/metrics", "app:x", "ftp://app:1", "http://", "u:p@app:1", "app:1/m?x=y", "app:1/a b"]
        {
            assert_eq!(shown(text).unwrap_err(), "expected HOST:PORT[/PATH], or a URL with http or https", "{text}");
        }
    }

    #[test]
    fn a_command_is_split_as_a_shell_does() {
        let split = |text: &str| text.parse::<CommandLine>().map(|command| (command.program, command.args));
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            split("./app --name 'a b' \"$X\" c\\ d"),
            Ok(("./app".into(), words(&["--name", "a b", "$X", "c d"])))
        );
        assert_eq!(split("app 'a"), Err("a quote is not closed".into()));
        assert_eq!(split(" "), Err("it names no program".into()));
    }

    #[test]
    fn a_file_has_the_keys_of_the_flags() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(FILE);
        let read = |text: &str| {
            fs::write(&file, text).unwrap();
            Description::read(&file)
                .map_err(|error| format!("{error:#}").replace(&dir.path().display().to_string(), ""))
        };
        let all = read(
            "target = ':1'\ncommand = './app x'\njob = 'j'\nscrape-interval = '5s'\nrules = ['a', '/b']\ndashboards = 'c/*.json'\n\
             alertmanager-config = 'd.yml'",
        );
        let Description { target, command, job, scrape_interval, rules, dashboards, alertmanager_config } =
            all.unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        assert_eq!((target, command.unwrap().dir), (vec![":1".parse().unwrap()], dir.path().into()));
        assert_eq!((job.as_deref(), *scrape_interval.unwrap()), (Some("j"), std::time::Duration::from_secs(5)));
        assert_eq!((rules, dashboards), (vec![at("a"), "/b".into()], vec![at("c/*.json")]));
        assert_eq!(alertmanager_config, Some(dir.path().join("d.yml")));
        for (text, error) in [
            ("tarket = ':1'", "/lab.toml: unknown key `tarket`; the nearest one is `target`"),
            (
                "job = 'j'\nscrape_interval = '5s'",
                "/lab.toml: unknown key `scrape_interval`; the nearest one is `scrape-interval`",
            ),
            (
                "job = 'j'\ntarget = ['app']",
                "/lab.toml: line 2: invalid value `app`: expected HOST:PORT[/PATH], or a URL with http or https",
            ),
            ("rules = 1", "/lab.toml: line 1: expected a string or a list of strings"),
            ("job", "/lab.toml: line 1: key with no value, expected `=`"),
        ] {
            assert_eq!(read(text).unwrap_err(), error);
        }
    }

    #[test]
    fn a_flag_overrides_its_key_and_another_target_the_command() {
        let target = |port: u16| vec![format!(":{port}").parse().unwrap()];
        let command: CommandLine = "app".parse().unwrap();
        let file = || Description {
            target: target(1),
            command: Some(command.clone()),
            job: Some("j".into()),
            ..Description::default()
        };
        let none = Description::default().or(file());
        assert_eq!((none.target, none.command.as_ref(), none.job.as_deref()), (target(1), Some(&command), Some("j")));
        let flags = Description { target: target(2), job: Some("k".into()), ..Description::default() };
        let some = flags.or(file());
        assert_eq!((some.target, some.command, some.job.as_deref()), (target(2), None, Some("k")));
    }
}
