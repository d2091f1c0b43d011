//! What is measured: the matrix of paths, shares of a path, sizes.

use crate::path::Path;
use crate::stack::Stack;

const RATES: [f64; 3] = [10.0, 100.0, 500.0];
const ROUND_TRIPS: [f64; 3] = [10.0, 40.0, 200.0];
const LOSSES: [f64; 4] = [0.0, 0.1, 1.0, 5.0];
const QUEUES: [f64; 3] = [0.25, 1.0, 5.0];

/// Seconds after which a flow alone on its path has found its rate.
pub(crate) const START: u64 = 3;

/// Milliseconds by which one of two flows is ahead of the other.
const APART: u64 = 1_000;

/// The stacks of the matrix: ours, and the kernel's of the same algorithm.
pub(crate) const PAIRS: [(&str, &str); 3] = [
    ("aqueduct:newreno", "tcp:reno"),
    ("aqueduct:cubic", "tcp:cubic"),
    ("aqueduct:bbr", "tcp:bbr"),
];

/// One measurement to make.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) kind: &'static str,
    pub(crate) path: Path,
    pub(crate) work: Work,
}

#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// Flows side by side, begun `apart` milliseconds from each other; what arrives from `skip` to `until` seconds
    /// counts.
    Flows {
        stacks: Vec<Stack>,
        apart: u64,
        skip: u64,
        until: u64,
    },
    /// Transfers of a size, one after the other.
    Sized {
        stack: Stack,
        bytes: u64,
        times: u64,
    },
}

impl Task {
    /// The same, with another pattern of random loss.
    pub(crate) fn with_seed(mut self, seed: u64) -> Self {
        self.path.seed = seed;
        self
    }

    /// The name under which its result is kept.
    pub(crate) fn name(&self) -> String {
        match &self.work {
            Work::Flows { stacks, .. } => join(stacks),
            Work::Sized { stack, bytes, .. } => format!("{stack} {bytes}"),
        }
    }
}

pub(crate) fn join(stacks: &[Stack]) -> String {
    let names: Vec<_> = stacks.iter().map(Stack::to_string).collect();
    names.join(" ")
}

/// The paths of the matrix: every rate, round trip and loss in every pair; the queues in turn.
pub(crate) fn cells() -> Vec<Path> {
    let mut cells = Vec::new();
    for (i, rate) in RATES.into_iter().enumerate() {
        for (j, rtt) in ROUND_TRIPS.into_iter().enumerate() {
            let mut add = |loss, queue| {
                cells.push(Path {
                    rate,
                    rtt,
                    loss,
                    queue,
                    seed: 1,
                });
            };
            // Without loss the queue decides: 1 BDP everywhere, and the others in turn.
            add(LOSSES[0], QUEUES[1]);
            add(LOSSES[0], QUEUES[2 * ((i + j) % 2)]);
            add(LOSSES[1], QUEUES[(i + j) % 3]);
            add(LOSSES[2], QUEUES[(i + j + 1) % 3]);
            if (i + j) % 2 == 0 {
                add(LOSSES[3], QUEUES[(i + j + 2) % 3]);
            }
        }
    }
    cells
}

fn stack(name: &str) -> Stack {
    name.parse().expect("a stack of the plan")
}

pub(crate) fn matrix(seconds: u64) -> Vec<Task> {
    let stacks = || PAIRS.into_iter().flat_map(|(ours, kernel)| [ours, kernel]);
    cells()
        .into_iter()
        .flat_map(|path| stacks().map(move |name| (path, stack(name))))
        .map(|(path, stack)| Task {
            kind: "matrix",
            path,
            work: Work::Flows {
                stacks: vec![stack],
                apart: 0,
                skip: START,
                until: seconds,
            },
        })
        .collect()
}

/// 50 Mbit/s and 40 ms, with a queue of `queue` BDP.
fn shared(queue: f64) -> Path {
    Path {
        rate: 50.0,
        rtt: 40.0,
        loss: 0.0,
        queue,
        seed: 1,
    }
}

/// One flow beside one kernel CUBIC flow, each of both begun first, and ten flows of a kind.
pub(crate) fn shares() -> Vec<Task> {
    let flows = |kind, queue, stacks: Vec<Stack>| Task {
        kind,
        path: shared(queue),
        work: Work::Flows {
            apart: if kind == "share" { APART } else { 0 },
            stacks,
            skip: 10,
            until: 60,
        },
    };
    let mut tasks = Vec::new();
    for queue in [1.0, 4.0] {
        for name in [
            "aqueduct:cubic",
            "aqueduct:bbr",
            "aqueduct:newreno",
            "tcp:bbr",
            "tcp:cubic",
        ] {
            let pair = [stack(name), stack("tcp:cubic")];
            tasks.push(flows("share", queue, pair.to_vec()));
            if pair[0] != pair[1] {
                tasks.push(flows("share", queue, pair.into_iter().rev().collect()));
            }
        }
    }
    for name in ["aqueduct:cubic", "aqueduct:bbr", "tcp:cubic", "tcp:bbr"] {
        tasks.push(flows("jain", 1.0, vec![stack(name); 10]));
    }
    tasks
}

/// 100 KB, 1 MB and 20 MB over 100 Mbit/s and 40 ms, without and with loss.
pub(crate) fn sizes() -> Vec<Task> {
    let mut tasks = Vec::new();
    for loss in [0.0, 1.0] {
        for name in [
            "tcp:cubic",
            "aqueduct:cubic",
            "aqueduct:bbr",
            "aqueduct:auto",
            "aqueduct:default",
            "tcp:bbr",
        ] {
            for (bytes, times) in [(100_000, 20), (1_000_000, 20), (20_000_000, 20)] {
                tasks.push(Task {
                    kind: "sized",
                    path: Path {
                        rate: 100.0,
                        rtt: 40.0,
                        loss,
                        queue: 1.0,
                        seed: 1,
                    },
                    work: Work::Sized {
                        stack: stack(name),
                        bytes,
                        times,
                    },
                });
            }
        }
    }
    tasks
}

/// What the figures of BBR are about: single flows on paths of their own.
pub(crate) fn figures(seconds: u64) -> Vec<Task> {
    let path = |rate, rtt, loss, queue| Path {
        rate,
        rtt,
        loss,
        queue,
        seed: 1,
    };
    let paths = [
        path(100.0, 40.0, 0.0, 1.0),
        path(100.0, 40.0, 0.1, 1.0),
        path(100.0, 40.0, 1.0, 1.0),
        path(100.0, 40.0, 5.0, 1.0),
        path(20.0, 200.0, 1.0, 1.0),
        path(100.0, 40.0, 0.0, 5.0),
    ];
    let stacks = [
        "aqueduct:bbr",
        "aqueduct:bbr+150",
        "aqueduct:cubic",
        "tcp:cubic",
        "tcp:bbr",
    ];
    paths
        .into_iter()
        .flat_map(|path| stacks.map(|name| (path, name)))
        .map(|(path, name)| Task {
            kind: "figures",
            path,
            work: Work::Flows {
                stacks: vec![stack(name)],
                apart: 0,
                skip: START,
                until: seconds,
            },
        })
        .collect()
}
