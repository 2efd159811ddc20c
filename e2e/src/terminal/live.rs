//! A text below everything else that a command writes, drawn anew in place. It needs a terminal that can move its cursor;
//! elsewhere nothing is drawn.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::out::{self, OutError};

/// The text, on standard output. Dropping it leaves what was drawn last.
#[derive(Debug)]
pub struct Live(ProgressBar);

impl Default for Live {
    fn default() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            bar.set_style(style);
        }
        Self(bar)
    }
}

impl Live {
    /// Whether anything is ever drawn.
    pub fn is_drawn(&self) -> bool {
        !self.0.is_hidden()
    }

    /// Draws another text.
    pub fn draw(&self, text: String) {
        self.0.set_message(text);
    }

    /// Writes a line to standard output, above the text.
    pub fn line(&self, text: &str) -> Result<(), OutError> {
        self.0.suspend(|| out::line(text))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
