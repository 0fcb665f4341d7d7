//! Prints to the terminal during the measurement.

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

/// Prints a part of a line at once.
pub(crate) fn progress(text: &str) {
    anstream::print!("{text}");
    // A failure to print must not stop the measurement.
    drop(std::io::stdout().flush());
}

/// Prints a target that was met or missed.
pub(crate) fn verdict(kept: bool, text: &str) {
    let (style, word) = if kept { (GOOD, "pass") } else { (BAD, "MISS") };
    anstream::println!("  {style}{word}{style:#}  {text}");
}
