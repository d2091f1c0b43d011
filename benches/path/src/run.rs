//! Measures what a plan wants and no earlier run has measured.

use std::io;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use clap::ValueEnum;

use crate::path::Link;
use crate::plan::{self, Task, Work};
use crate::results::{Result, Results};

/// Paths up to this rate leave the processors mostly idle: several may be measured at a time, Mbit/s.
const SLOW: f64 = 100.0;

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Plan {
    /// Every path with every algorithm
    Matrix,
    /// Flows that share a path
    Shares,
    /// The time of transfers of a size
    Sizes,
    /// The paths that the README's figures name
    Figures,
}

impl Plan {
    fn tasks(self, seconds: u64) -> Vec<Task> {
        match self {
            Plan::Matrix => plan::matrix(seconds),
            Plan::Shares => plan::shares(),
            Plan::Sizes => plan::sizes(),
            Plan::Figures => plan::figures(seconds),
        }
    }
}

/// Which measurements are to be made.
pub(crate) struct Wanted {
    pub(crate) plans: Vec<Plan>,
    /// Seconds of a flow alone on its path.
    pub(crate) seconds: u64,
    /// Measurements of each kind on each path.
    pub(crate) seeds: u64,
    /// What their names and paths must contain.
    pub(crate) only: Vec<String>,
}

impl Wanted {
    /// Seed by seed, so that a run that is interrupted has measured all of them as often.
    fn tasks(&self) -> Vec<Task> {
        let planned = (1..=self.seeds).flat_map(|seed| {
            let tasks = self.plans.iter().flat_map(|plan| plan.tasks(self.seconds));
            tasks.map(move |task| task.with_seed(seed))
        });
        planned.filter(|task| self.includes(task)).collect()
    }

    fn includes(&self, task: &Task) -> bool {
        let text = format!("{} on {}", task.name(), task.path);
        self.only.iter().all(|part| text.contains(part.as_str()))
    }
}

pub(crate) fn run(wanted: &Wanted, out: PathBuf, jobs: usize) -> io::Result<()> {
    let results = Results::open(out)?;
    let tasks: Vec<_> = wanted
        .tasks()
        .into_iter()
        .filter(|task| results.find(task.kind, &task.path, &task.name()).is_none())
        .collect();
    println!("{} measurements to make", tasks.len());
    let (slow, fast): (Vec<_>, Vec<_>) = tasks.into_iter().partition(|task| task.path.rate <= SLOW);
    let results = Mutex::new(results);
    measure_all(&slow, jobs.max(1), &results)?;
    measure_all(&fast, 1, &results)
}

fn measure_all(tasks: &[Task], jobs: usize, results: &Mutex<Results>) -> io::Result<()> {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs)
            .map(|_| {
                scope.spawn(|| {
                    while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                        measure(task, results)?;
                    }
                    Ok(())
                })
            })
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().map_err(|_| io::Error::other("panicked"))?)
    })
}

fn measure(task: &Task, results: &Mutex<Results>) -> io::Result<()> {
    let (arguments, limit) = arguments(&task.work);
    let (answer, link) = match task.path.run(&arguments, limit) {
        Ok(found) => found,
        // One failure must not cost the measurements behind it; it is measured again next time.
        Err(error) => {
            println!("{} on {}: FAILED: {error}", task.name(), task.path);
            return Ok(());
        }
    };
    let mut result = Result {
        kind: task.kind.to_owned(),
        path: task.path,
        name: task.name(),
        flows: Vec::new(),
        times: Vec::new(),
        link,
    };
    match &task.work {
        Work::Flows { .. } => result.flows = serde_json::from_str(&answer)?,
        Work::Sized { .. } => result.times = serde_json::from_str(&answer)?,
    }
    say(&result, &link);
    results
        .lock()
        .map_err(|_| io::Error::other("another measurement panicked"))?
        .add(result)
}

fn arguments(work: &Work) -> (Vec<String>, u64) {
    match work {
        Work::Flows {
            stacks,
            apart,
            skip,
            until,
        } => {
            let mut arguments = vec!["flows".to_owned()];
            arguments.extend(stacks.iter().map(ToString::to_string));
            arguments.extend(["--apart".to_owned(), apart.to_string()]);
            arguments.extend(["--skip".to_owned(), skip.to_string()]);
            arguments.extend(["--until".to_owned(), until.to_string()]);
            (arguments, until + 60)
        }
        Work::Sized {
            stack,
            bytes,
            times,
        } => {
            let mut arguments = vec!["sized".to_owned(), stack.to_string()];
            arguments.extend(["--bytes".to_owned(), bytes.to_string()]);
            arguments.extend(["--times".to_owned(), times.to_string()]);
            (arguments, 1_200)
        }
    }
}

fn say(result: &Result, link: &Link) {
    let goodput: Vec<_> = result
        .flows
        .iter()
        .map(|flow| format!("{:.2}", flow.goodput))
        .collect();
    let times: Vec<_> = result
        .times
        .iter()
        .map(|time| format!("{time:.3}"))
        .collect();
    println!(
        "{} on {}: {} Mbit/s {} queue p50 {} us p95 {} us, dropped {} + {}, late p99 {} us{}",
        result.name,
        result.path,
        goodput.join(" "),
        times.join(" "),
        link.queue_p50_us,
        link.queue_p95_us,
        link.drop_queue,
        link.drop_loss,
        link.late_p99_us,
        if link.overruns > 0 { ", OVERRUN" } else { "" }
    );
}
