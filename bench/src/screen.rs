//! What the terminal shows while it is measured.

use std::io::Write;

use anstyle::{AnsiColor, Style};

const BOLD: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

pub(crate) fn title(text: &str) {
    anstream::println!("\n{BOLD}{text}{BOLD:#}");
}

pub(crate) fn line(text: &str) {
    anstream::println!("{text}");
}

/// A piece of a line, shown at once.
pub(crate) fn progress(text: &str) {
    anstream::print!("{text}");
    // Progress that cannot be shown is not worth stopping for.
    drop(std::io::stdout().flush());
}

/// A target, kept or missed.
pub(crate) fn verdict(kept: bool, text: &str) {
    let (style, word) = if kept { (GOOD, "pass") } else { (BAD, "MISS") };
    anstream::println!("  {style}{word}{style:#}  {text}");
}
