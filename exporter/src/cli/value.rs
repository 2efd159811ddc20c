//! Flag values, with an error whose first line names the flag and the value.

use std::ffi::OsStr;
use std::fmt::Display;
use std::str::FromStr;

use clap::builder::TypedValueParser;
use clap::error::{Error, ErrorKind};
use clap::{Arg, Command};

use crate::log::one_line;

/// Checks a value. clap's own parsers name neither flag nor value when an argument is not UTF-8, and repeat a line feed
/// as it is.
#[derive(Clone)]
pub(super) struct FlagParser<T>(pub(super) fn(&str) -> Result<T, String>);

/// Checks a value by parsing it.
pub(super) fn parsed<T: FromStr<Err: Display>>() -> FlagParser<T> {
    FlagParser(|text| text.parse().map_err(|error: T::Err| error.to_string()))
}

impl<T: Clone + Send + Sync + 'static> TypedValueParser for FlagParser<T> {
    type Value = T;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<T, Error> {
        let checked = value.to_str().ok_or_else(|| "not UTF-8".to_string()).and_then(self.0);
        checked.map_err(|reason| {
            let shown = one_line(&value.to_string_lossy());
            let flag = arg.map(ToString::to_string).unwrap_or_default();
            let message = format!("invalid value '{shown}' for '{flag}': {reason}\n");
            Error::raw(ErrorKind::ValueValidation, message).with_cmd(command)
        })
    }
}
