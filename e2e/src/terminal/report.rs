//! Formats of reports.

use std::io;

use anyhow::Result;
use quick_xml::Writer;
use quick_xml::events::BytesText;

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
    Skipped(String),
}

/// A JUnit document of one suite.
pub fn junit(program: &str, suite: &str, properties: &[(String, &str)], cases: &[Case<'_>]) -> Result<String> {
    let count = |is: fn(&Verdict) -> bool| cases.iter().filter(|case| is(&case.verdict)).count().to_string();
    let attributes = [
        ("name", suite),
        ("tests", &cases.len().to_string()),
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
