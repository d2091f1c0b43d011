//! What the user sees: a progress bar while bytes move, and lines when a file is there.

use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::digest::Digest;
use crate::transport::Repairs;
use crate::units;

const BAR: &str =
    "{prefix:20!} {bar:30} {bytes:>10}/{total_bytes} {binary_bytes_per_sec:>13} {eta:>4} left";

/// The terminal, shared by all transfers of the process.
#[derive(Clone, Default)]
pub(crate) struct Terminal {
    bars: MultiProgress,
    quiet: bool,
}

impl Terminal {
    /// A terminal that shows nothing, for a side whose other side reports.
    pub(crate) fn quiet() -> Terminal {
        Terminal {
            quiet: true,
            ..Terminal::default()
        }
    }

    /// A bar for a file of `size` bytes, of which `done` are there already.
    pub(crate) fn bar(&self, name: &str, size: u64, done: u64) -> ProgressBar {
        if self.quiet {
            return ProgressBar::hidden();
        }
        let bar = self.bars.add(ProgressBar::new(size).with_position(done));
        // A bar that was resumed would otherwise count what was there as speed.
        bar.reset_eta();
        if let Ok(style) = ProgressStyle::with_template(BAR) {
            bar.set_style(style);
        }
        bar.set_prefix(name.to_owned());
        bar
    }

    /// Prints a line above the bars.
    pub(crate) fn line(&self, line: &str) {
        if !self.quiet {
            self.bars.suspend(|| println!("{line}"));
        }
    }

    /// Prints a problem above the bars.
    pub(crate) fn problem(&self, line: &str) {
        self.bars.suspend(|| eprintln!("{line}"));
    }
}

/// A file that is there, whole and checked.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    /// Its name.
    pub(crate) name: String,
    /// Its size, bytes.
    pub(crate) size: u64,
    /// The bytes that moved: fewer than the size if the transfer was resumed.
    pub(crate) moved: u64,
    /// The digest that both sides computed.
    pub(crate) digest: Digest,
    /// From the first request until the digest was checked.
    pub(crate) elapsed: Duration,
}

impl Arrival {
    /// The line for scripts.
    pub(crate) fn verified(&self, repairs: Option<Repairs>) -> String {
        let seconds = self.elapsed.as_secs_f64();
        let rate = units::rate(self.moved, self.elapsed);
        let line = format!(
            "verified: sha256 {} {} bytes in {seconds:.2} s ({rate})",
            self.digest, self.size
        );
        match repairs {
            Some(repairs) => format!("{line}, {} retransmitted", repairs.packets),
            None => line,
        }
    }

    /// The lines for people: what happened to the file, in `verb` and `place`.
    pub(crate) fn sentence(&self, verb: &str, place: &str) -> String {
        let size = units::size(self.size);
        let resumed = match self.size - self.moved {
            0 => String::new(),
            there => format!(", {} of it were there already", units::size(there)),
        };
        format!("{verb} {} {place}: {size}{resumed}", self.name)
    }
}

/// Measures one transfer.
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(
        clippy::disallowed_methods,
        reason = "a program that reports its speed needs a clock"
    )]
    pub(crate) fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    /// Time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_for_scripts_is_as_documented() {
        let arrival = Arrival {
            name: "a".into(),
            size: 268_435_456,
            moved: 268_435_456,
            digest: Digest([0xab; 32]),
            elapsed: Duration::from_millis(610),
        };
        let expected = format!(
            "verified: sha256 {} 268435456 bytes in 0.61 s (419.6 MiB/s), 0 retransmitted",
            "ab".repeat(32)
        );
        assert_eq!(arrival.verified(Some(Repairs::default())), expected);
        assert_eq!(arrival.sentence("sent", "to b"), "sent a to b: 256.0 MiB");
    }
}
