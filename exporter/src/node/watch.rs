//! Which files are being read at this moment, and which of those reads have been given up.

use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
pub(super) struct Watch(Mutex<Vec<State>>);

#[derive(Debug)]
struct State {
    file: &'static str,
    given_up: bool,
}

/// A read that has not returned.
pub(super) struct Reading<'a> {
    watch: &'a Watch,
    file: &'static str,
}

impl Watch {
    /// None while a read of the file that was given up has not returned.
    pub(super) fn begin(&self, file: &'static str) -> Option<Reading<'_>> {
        let mut states = self.lock();
        if states.iter().any(|state| state.file == file && state.given_up) {
            return None;
        }
        states.push(State { file, given_up: false });
        Some(Reading { watch: self, file })
    }

    /// Gives up every read that has not returned.
    pub(super) fn give_up(&self) {
        self.lock().iter_mut().for_each(|state| state.given_up = true);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        let mut states = self.watch.lock();
        // Of several reads of a file that hung, it does not matter which returned.
        if let Some(index) = states.iter().position(|state| state.file == self.file) {
            states.swap_remove(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_that_was_given_up_keeps_others_from_its_file_until_it_returns() {
        let watch = Watch::default();
        let (first, second) = (watch.begin("uptime"), watch.begin("uptime"));
        assert!(first.is_some() && second.is_some(), "two readers do not disturb each other");
        drop(second);
        watch.give_up();
        assert!(watch.begin("uptime").is_none());
        assert!(watch.begin("loadavg").is_some());
        drop(first);
        assert!(watch.begin("uptime").is_some());
        assert!(watch.lock().is_empty());
    }

    #[test]
    fn each_of_several_must_return() {
        let watch = Watch::default();
        let (first, second) = (watch.begin("uptime"), watch.begin("uptime"));
        watch.give_up();
        drop(first);
        assert!(watch.begin("uptime").is_none());
        drop(second);
        assert!(watch.begin("uptime").is_some());
    }
}
