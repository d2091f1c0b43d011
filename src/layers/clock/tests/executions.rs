//! Executions of a few processes that send each other messages, and what happened before what in them, found the naive way:
//! by walking back along every edge.

/// One event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) process: usize,
    /// It sends a message to this process.
    pub(super) to: Option<usize>,
    pub(super) sends: bool,
    /// It receives the message of that event.
    pub(super) receives: Option<usize>,
}

/// Events in an order in which they may have taken place.
#[derive(Clone, Debug)]
pub(super) struct Execution {
    pub(super) processes: usize,
    pub(super) events: Vec<Event>,
    /// Sends whose message is still under way.
    under_way: Vec<usize>,
}

impl Execution {
    fn new(processes: usize) -> Self {
        Execution {
            processes,
            events: Vec::new(),
            under_way: Vec::new(),
        }
    }

    /// Everything that may happen next.
    fn choices(&self) -> Vec<Event> {
        let mut choices = Vec::new();
        for process in 0..self.processes {
            choices.push(Event {
                process,
                to: None,
                sends: false,
                receives: None,
            });
            let others = (0..self.processes).filter(|to| *to != process);
            choices.extend(others.map(|to| Event {
                process,
                to: Some(to),
                sends: true,
                receives: None,
            }));
        }
        for sent in &self.under_way {
            let to = self.events[*sent].to.expect("a send");
            choices.push(Event {
                process: to,
                to: None,
                sends: false,
                receives: Some(*sent),
            });
        }
        choices
    }

    fn happen(&mut self, event: Event) {
        if let Some(sent) = event.receives {
            self.under_way.retain(|other| *other != sent);
        }
        if event.sends {
            self.under_way.push(self.events.len());
        }
        self.events.push(event);
    }

    /// Whether there is a way from `a` to `b`: along one process, and from a send to its receive.
    pub(super) fn happened_before(&self, a: usize, b: usize) -> bool {
        let mut todo = vec![b];
        let mut seen = vec![false; self.events.len()];
        while let Some(at) = todo.pop() {
            let event = self.events[at];
            let earlier = (0..at)
                .rev()
                .find(|e| self.events[*e].process == event.process);
            for from in earlier.into_iter().chain(event.receives) {
                if from == a {
                    return true;
                }
                if !std::mem::replace(&mut seen[from], true) {
                    todo.push(from);
                }
            }
        }
        false
    }

    /// Messages that came before an earlier one of the same pair of processes.
    pub(super) fn overtaken(&self) -> usize {
        let received: Vec<(usize, usize, usize)> = self
            .events
            .iter()
            .filter_map(|event| {
                event
                    .receives
                    .map(|sent| (self.events[sent].process, event.process, sent))
            })
            .collect();
        let late = |at: usize| {
            let (from, to, sent) = received[at];
            received[at + 1..]
                .iter()
                .any(|(f, t, s)| (*f, *t) == (from, to) && *s < sent)
        };
        (0..received.len()).filter(|at| late(*at)).count()
    }
}

/// Every execution of so many events.
pub(super) fn every_execution(processes: usize, events: usize, check: &mut impl FnMut(&Execution)) {
    fn extend(execution: &Execution, left: usize, check: &mut impl FnMut(&Execution)) {
        if left == 0 {
            return check(execution);
        }
        for choice in execution.choices() {
            let mut longer = execution.clone();
            longer.happen(choice);
            extend(&longer, left - 1, check);
        }
    }
    extend(&Execution::new(processes), events, check);
}

/// A long execution, by a seed.
pub(super) fn random_execution(seed: u64, processes: usize, events: usize) -> Execution {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut execution = Execution::new(processes);
    for _ in 0..events {
        let choices = execution.choices();
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let at = usize::try_from(state >> 33).expect("31 bits") % choices.len();
        execution.happen(choices[at]);
    }
    execution
}
