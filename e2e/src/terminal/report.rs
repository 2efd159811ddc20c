//! Formats of reports.

use std::io;

use anyhow::{Error, Result};
use quick_xml::Writer;
use quick_xml::events::BytesText;

use super::out;

/// How a report is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON document at the end.
    Json,
    /// One JUnit document at the end, as CI systems show it.
    Junit,
}

/// A test case of a JUnit report.
pub struct Case<'a> {
    pub name: String,
    pub class: &'a str,
    pub seconds: f64,
    pub verdict: Verdict,
    /// What is shown of it.
    pub text: &'a str,
}

/// What became of a test case, with a message of one line.
pub enum Verdict {
    Passed,
    Failed(String),
    /// It was not run.
    Error(String),
    Skipped(String),
}

/// Runs a program that ends with a report. If it fails before that, and the report is for a CI system, writes one that says
/// why.
pub fn reporting<T>(program: &str, format: Format, run: impl FnOnce() -> Result<T>) -> Result<T> {
    run().inspect_err(|error| {
        if format == Format::Junit {
            // The error is shown whether or not this can be written.
            drop(failure(program, error).map(|text| out::line(&text)));
        }
    })
}

/// A JUnit document of one test case: an error.
fn failure(program: &str, error: &Error) -> Result<String> {
    let text = out::plain(&format!("{error:#}"));
    let verdict = Verdict::Error(text.lines().next().unwrap_or_default().to_owned());
    junit(program, program, &[], &[Case { name: program.to_owned(), class: "lab", seconds: 0.0, verdict, text: &text }])
}

/// A JUnit document of one suite.
pub fn junit(program: &str, suite: &str, properties: &[(String, &str)], cases: &[Case<'_>]) -> Result<String> {
    let count = |is: fn(&Verdict) -> bool| cases.iter().filter(|case| is(&case.verdict)).count().to_string();
    let attributes = [
        ("name", suite),
        ("tests", &cases.len().to_string()),
        ("errors", &count(|verdict| matches!(verdict, Verdict::Error(_)))),
        ("failures", &count(|verdict| matches!(verdict, Verdict::Failed(_)))),
        ("skipped", &count(|verdict| matches!(verdict, Verdict::Skipped(_)))),
    ];
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.create_element("testsuites").with_attribute(("name", program)).write_inner_content(|suites| {
        suites.create_element("testsuite").with_attributes(attributes).write_inner_content(|suite| {
            suite.create_element("properties").write_inner_content(|written| {
                for (name, value) in properties {
                    let property = [("name", name.as_str()), ("value", value)];
                    written.create_element("property").with_attributes(property).write_empty()?;
                }
                Ok(())
            })?;
            cases.iter().try_for_each(|case| case.write(suite))
        })?;
        Ok(())
    })?;
    Ok(String::from_utf8(writer.into_inner())?)
}

impl Case<'_> {
    fn write(&self, suite: &mut Writer<Vec<u8>>) -> io::Result<()> {
        let time = format!("{:.3}", self.seconds);
        let attributes = [("name", self.name.as_str()), ("classname", self.class), ("time", &time)];
        suite.create_element("testcase").with_attributes(attributes).write_inner_content(|case| {
            let outcome = match &self.verdict {
                Verdict::Passed => None,
                Verdict::Failed(message) => Some(("failure", message)),
                Verdict::Error(message) => Some(("error", message)),
                Verdict::Skipped(message) => Some(("skipped", message)),
            };
            if let Some((kind, message)) = outcome {
                case.create_element(kind).with_attribute(("message", message.as_str())).write_empty()?;
            }
            case.create_element("system-out").write_text_content(BytesText::new(self.text)).map(drop)
        })?;
        Ok(())
    }
}
