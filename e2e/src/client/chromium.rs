//! A headless Chromium, as far as a picture of a dashboard needs it.

use std::fs;
use std::io::Cursor;
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
/// Grafana leaves a panel empty that lies outside the window. What is left over is cut off.
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
    /// A dashboard by its address in Grafana: whole, without menus, every node, the last `window`.
    pub fn of(dashboard: &Dashboard, link: &str, window: Duration) -> Self {
        let panels = dashboard.visible();
        let lines = panels.iter().map(|panel| panel.grid_pos.y + panel.grid_pos.h).max().unwrap_or_default();
        let titles = panels.iter().map(|panel| panel.title.clone());
        Self {
            url: format!("{link}?kiosk&from=now-{}s&to=now&var-node=$__all", window.as_secs()),
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
        finished(&picture, page, &output.stdout).with_context(|| {
            let name = self.program.display();
            // Not the whole error: the page's text is in it.
            error.map_or(format!("{name} drew no good picture"), |error| {
                format!("{name} failed: {}", error.to_string().lines().next().unwrap_or_default())
            })
        })
    }
}

/// The picture, if it is one of the whole page, without the blank that may be below it.
fn finished(picture: &Path, page: &Page, dom: &str) -> Result<Vec<u8>> {
    let png = without_blank_end(&fs::read(picture).context("there is no picture")?)?;
    let missing: Vec<&str> = page.shows.iter().map(String::as_str).filter(|text| !dom.contains(&html(text))).collect();
    ensure!(missing.is_empty(), "the page does not show: {}", missing.join(", "));
    Ok(png)
}

/// A text as a page's source has it.
fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The same picture up to its last line that is not of one colour.
fn without_blank_end(picture: &[u8]) -> Result<Vec<u8>> {
    let mut decoder = png::Decoder::new(Cursor::new(picture));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().context("the picture is not a PNG")?;
    let mut pixels = vec![0; reader.output_buffer_size().context("the picture is too large")?];
    let info = reader.next_frame(&mut pixels).context("the PNG is cut short")?;
    let samples = info.color_type.samples();
    let blank = |line: &[u8]| line.chunks_exact(samples).all(|pixel| pixel == &line[..samples]);
    let lines: Vec<&[u8]> = pixels[..info.buffer_size()].chunks_exact(info.line_size).collect();
    let height = lines.iter().rposition(|line| !blank(line)).context("the picture shows nothing")? + 1;

    let mut cut = Vec::new();
    let mut encoder = png::Encoder::new(&mut cut, info.width, u32::try_from(height)?);
    encoder.set_color(info.color_type);
    encoder.set_depth(info.bit_depth);
    encoder.set_compression(png::Compression::High);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&lines[..height].concat())?;
    writer.finish()?;
    Ok(cut)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::shipped::Shipped;

    /// Grey, with white in the corner of each of the first `drawn` lines.
    fn picture(width: u32, height: u32, drawn: u32) -> Vec<u8> {
        let pixel = |line: u32, column: u32| if column == 0 && line < drawn { 255 } else { 17 };
        let pixels: Vec<u8> = (0..height).flat_map(|line| (0..width).map(move |column| pixel(line, column))).collect();
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Grayscale);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&pixels).unwrap();
        writer.finish().unwrap();
        bytes
    }

    #[test]
    fn the_blank_below_a_picture_is_cut_off() {
        assert_eq!(without_blank_end(&picture(40, 30, 20)).unwrap(), without_blank_end(&picture(40, 20, 20)).unwrap());
    }

    #[test]
    fn what_is_no_picture_is_named() {
        let said = |png: &[u8]| without_blank_end(png).unwrap_err().to_string();
        assert_eq!(said(&picture(40, 30, 0)), "the picture shows nothing");
        let whole = picture(40, 30, 20);
        assert_eq!(said(&whole[..whole.len() - 30]), "the PNG is cut short");
        assert_eq!(said(b"<html>"), "the picture is not a PNG");
    }

    #[test]
    fn the_shipped_dashboard_fits_the_window() {
        let dashboard = Shipped::read().unwrap().dashboards.remove(0);
        let page = Page::of(&dashboard, "http://127.0.0.1:3000/d/mini-node-exporter", Duration::from_secs(60));
        assert!(page.url.starts_with("http://127.0.0.1:3000/d/mini-node-exporter?kiosk&from=now-60s&to=now"));
        let lowest = dashboard.visible().iter().map(|panel| panel.grid_pos.y + panel.grid_pos.h).max().unwrap();
        assert!(page.size.1 > lowest * LINE, "{page:?}");
        assert!(page.shows.len() > 10, "{page:?}");
    }
}
