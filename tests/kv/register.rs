//! What one key does, as one would define it: the specification that histories are judged by.

/// What a client asks of a key.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Call {
    Get,
    Put(u64),
    Delete,
    /// `None`: nothing must be there, or nothing shall.
    Swap {
        expect: Option<u64>,
        value: Option<u64>,
    },
    WriteOnce(u64),
}

/// What it was told.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Reply {
    /// What is there.
    Value(Option<u64>),
    Done,
    /// It was not done: this is there.
    Not(Option<u64>),
}

/// A call with its reply; `None` if nobody knows whether it was done.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Operation {
    pub(crate) call: Call,
    pub(crate) reply: Option<Reply>,
}

/// What is at the key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Register {
    value: Option<u64>,
    is_final: bool,
}

impl Register {
    /// Does a call: what is there then, and what is to be told.
    pub(crate) fn execute(self, call: &Call) -> (Register, Reply) {
        let with = |value| Register { value, ..self };
        match *call {
            Call::Get => (self, Reply::Value(self.value)),
            Call::WriteOnce(_) if self.value.is_some() => (self, Reply::Not(self.value)),
            Call::WriteOnce(value) => {
                let is_final = true;
                let value = Some(value);
                (Register { value, is_final }, Reply::Done)
            }
            Call::Swap { expect, .. } if expect != self.value => (self, Reply::Not(self.value)),
            _ if self.is_final => (self, Reply::Not(self.value)),
            Call::Put(value) => (with(Some(value)), Reply::Done),
            Call::Delete => (with(None), Reply::Done),
            Call::Swap { value, .. } => (with(value), Reply::Done),
        }
    }

    /// The register after an operation, if it could have taken place here.
    pub(crate) fn step(self, operation: &Operation) -> Option<Register> {
        let (after, reply) = self.execute(&operation.call);
        let fits = operation.reply.as_ref().is_none_or(|told| *told == reply);
        fits.then_some(after)
    }
}
