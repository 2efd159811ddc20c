//! A headless Chromium, as far as a picture of a dashboard needs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::process::command::Cmd;
use crate::wait::interrupt;
use crate::workspace::dashboard::Dashboard;

/// Wide enough for Grafana's layout of a desktop.
const WIDTH: u64 = 1600;

/// Grafana's grid: a line is 30 pixels high, and 8 lie between two.
const LINE: u64 = 38;

/// Room for Grafana's row of variables, and for what Chromium takes off a window for the bars that it does not draw:
/// Grafana leaves a panel empty that lies outside the window.
const AROUND: u64 = 300;

/// How much time the page may think has passed. The page's clock stands still while requests are on their way, and
/// jumps to the next timer otherwise, so a slow machine gets the time that it needs. (`--timeout` would not do: it is
/// the longest wait for a page that does not load, and one that loads at once is drawn before it has asked for data.)
const PAGE_TIME: Duration = Duration::from_secs(20);

/// How long drawing may really take.
const LIMIT: Duration = Duration::from_secs(90);

/// A page to draw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its address.
    pub url: String,
    /// The window's width and height in pixels.
    pub size: (u64, u64),
    /// What can be read on it once it is drawn.
    pub shows: Vec<String>,
}

/// A Chromium.
#[derive(Clone, Debug)]
pub struct Chromium {
    program: PathBuf,
}

impl Page {
    /// A dashboard in the Grafana with that base address: whole, without menus, every node, the last five minutes.
    pub fn of(dashboard: &Dashboard, base: &str) -> Self {
        let panels = dashboard.panels();
        let lines = panels.iter().map(|panel| panel.grid_pos.y + panel.grid_pos.h).max().unwrap_or_default();
        let titles = panels.iter().map(|panel| panel.title.clone());
        Self {
            url: format!("{base}/d/{}?kiosk&from=now-5m&to=now&var-node=$__all", dashboard.uid),
            size: (WIDTH, lines * LINE + AROUND),
            // A title with a variable is drawn with its value.
            shows: titles.filter(|title| !title.is_empty() && !title.contains('$')).collect(),
        }
    }
}

impl Chromium {
    /// The one with this program.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into() }
    }

    /// Draws a page, and gives its PNG. The browser's profile, and whatever else it keeps, goes into `dir`.
    pub fn draw(&self, page: &Page, dir: &Path) -> Result<Vec<u8>> {
        fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
        let picture = dir.join("picture.png");
        let (width, height) = page.size;
        let mut command = Cmd::new(&self.program)
            .args(["--headless=new", "--hide-scrollbars", "--disable-gpu", "--disable-breakpad"])
            // Nothing that asks the outside.
            .args(["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .arg(format!("--window-size={width},{height}"))
            .arg(format!("--virtual-time-budget={}", PAGE_TIME.as_millis()))
            .arg(format!("--user-data-dir={}", dir.join("profile").display()))
            // Crash reports and settings go beside the profile that is named, not into it.
            .env("HOME", dir)
            .env("XDG_CONFIG_HOME", dir)
            .env("XDG_CACHE_HOME", dir);
        if rustix::process::geteuid().is_root() {
            // Chromium refuses root with its sandbox. The page is our own Grafana's, on loopback.
            command = command.arg("--no-sandbox");
        }
        let drawn = command
            .arg("--dump-dom")
            .arg(format!("--screenshot={}", picture.display()))
            .arg(&page.url)
            .limit(LIMIT)
            .run();
        interrupt::check()?;
        // A page with an open web socket, as Grafana's, keeps some Chromiums from ending after they have drawn it: what
        // they wrote counts, and how they ended only if that is not good.
        let (output, error) = match &drawn {
            Ok(output) => (output, None),
            Err(error) => (error.output(), Some(error)),
        };
        // Beside its directory, among the logs that are saved as evidence of a run that fails.
        let log = dir.with_extension("log");
        let _ = fs::write(&log, format!("{}\n{}", output.stderr, output.stdout));
        look(&picture, page, &output.stdout).with_context(|| {
            let name = self.program.display();
            // Not the whole error: the page's text is in it.
            error.map_or(format!("{name} drew no good picture"), |error| {
                format!("{name} failed: {}", error.to_string().lines().next().unwrap_or_default())
            })
        })
    }
}

/// The picture, if it is one, and of the whole page.
fn look(picture: &Path, page: &Page, dom: &str) -> Result<Vec<u8>> {
    let png = fs::read(picture).context("there is no picture")?;
    judge(&png, page.size)?;
    let missing: Vec<&str> = page.shows.iter().map(String::as_str).filter(|text| !dom.contains(&html(text))).collect();
    ensure!(missing.is_empty(), "the page does not show: {}", missing.join(", "));
    Ok(png)
}

/// A text as a page's source has it.
fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Whether these are the bytes of a whole PNG of that size which shows anything.
fn judge(png: &[u8], (width, height): (u64, u64)) -> Result<()> {
    ensure!(png.starts_with(b"\x89PNG\r\n\x1a\n") && png.get(12..16) == Some(b"IHDR"), "the picture is not a PNG");
    ensure!(png.ends_with(b"IEND\xaeB`\x82"), "the PNG is cut short");
    let number = |at: usize| {
        let bytes = png.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        u64::from(bytes.map_or(0, u32::from_be_bytes))
    };
    // A screen with more pixels than points draws more of them, never fewer.
    let (wide, high) = (number(16), number(20));
    ensure!(wide >= width && high >= height, "the PNG is {wide}x{high}, not {width}x{height}");
    // One colour takes a byte for 200 pixels and more; a logo alone adds little to that.
    let (bytes, least) = (png.len() as u64, wide * high / 100);
    ensure!(bytes >= least, "the PNG shows next to nothing: it has {bytes} bytes, and a full page more than {least}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;
    use crate::workspace::dashboard;

    /// As much of a PNG as is looked at.
    fn png(width: u32, height: u32, bytes: usize) -> Vec<u8> {
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
        png.extend(width.to_be_bytes());
        png.extend(height.to_be_bytes());
        png.resize(bytes, 0);
        png.extend(b"\0\0\0\0IEND\xaeB`\x82");
        png
    }

    #[test]
    fn only_a_whole_picture_that_shows_something_is_kept() {
        let said = |png: &[u8]| judge(png, (1600, 2400)).map_err(|error| error.to_string());
        assert_eq!(said(&png(1600, 2400, 100_000)), Ok(()));
        assert!(said(&png(1600, 2400, 16_682)).unwrap_err().starts_with("the PNG shows next to nothing"));
        assert!(said(&png(800, 600, 100_000)).unwrap_err().contains("800x600, not 1600x2400"));
        assert!(said(&png(1600, 2400, 100_000)[..90_000]).unwrap_err().contains("cut short"));
        assert!(said(b"<html>").unwrap_err().contains("not a PNG"));
        assert!(said(b"").unwrap_err().contains("not a PNG"));
    }

    #[test]
    fn the_shipped_dashboard_fits_the_window() {
        let dashboard = Dashboard::read(&workspace::root().join(dashboard::FILE)).unwrap();
        let page = Page::of(&dashboard, "http://127.0.0.1:3000");
        assert!(page.url.starts_with("http://127.0.0.1:3000/d/mini-node-exporter?kiosk&from=now-5m&to=now"));
        let lowest = dashboard.panels().iter().map(|panel| panel.grid_pos.y + panel.grid_pos.h).max().unwrap();
        assert!(page.size.1 > lowest * LINE, "{page:?}");
        assert!(page.shows.len() > 10, "{page:?}");
    }
}
