//! Whether threads look again and again before they sleep.

/// Whether a thread that waits looks again and again before it sleeps.
///
/// Waking a thread that sleeps costs more than everything else in a short exchange: 40 microseconds on a processor
/// of a virtual machine that has halted. A thread that looks again and again sees the answer within one, and uses
/// its processor meanwhile. Whatever is chosen here, one wait spends at most 50 microseconds so, then it sleeps:
/// a connection on which nothing happens costs no processor time.
///
/// The variable `AQUEDUCT_BUSY_POLL` of the environment (`off`, `adaptive`, `always`) overrides it for a process.
///
/// ```
/// use aqueduct::config::{BusyPoll, Config};
///
/// let config = Config::new().with_busy_poll(BusyPoll::Off);
/// assert_eq!(config.busy_poll(), BusyPoll::Off);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum BusyPoll {
    /// Sleep at once: the least processor time.
    Off,
    /// Look for as long as answers took to come, twice that, while at least one wait in four ends so; not at all on
    /// a machine, or in a process, that has one processor alone.
    #[default]
    Adaptive,
    /// Look for 50 microseconds at each wait, whatever it brings.
    Always,
}
