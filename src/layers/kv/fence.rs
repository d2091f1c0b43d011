//! Fencing: a resource that a lock protects knows by itself who comes too late.
//!
//! A holder that is paused does not notice that its lease has ended. No lease can help against that; the resource can: every holder
//! has a *token*, later holders have greater ones, and the resource refuses tokens smaller than what it has seen.
//!
//! ```text
//!   A: token 33 ----- paused -------------------> write(33)  refused
//!   B:                      token 34 -> write(34) taken
//! ```

/// The greatest token that a resource has seen. It belongs where the resource is, and lasts as long as the resource does.
///
/// ```
/// use aqueduct::kv::fence::Gate;
///
/// let mut gate = Gate::new(0);
/// assert!(gate.check(33).is_ok());
/// assert!(gate.check(34).is_ok());
/// assert!(gate.check(33).is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Gate {
    highest: u64,
}

/// Somebody with a greater token was here: the lock is lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("token {token} comes after token {highest}: the lock is lost")]
pub struct Fenced {
    /// What came.
    pub token: u64,
    /// The greatest that came before.
    pub highest: u64,
}

impl Gate {
    /// A gate whose resource has seen this token (0: none).
    pub fn new(highest: u64) -> Self {
        Gate { highest }
    }

    /// Lets a token through, and from then on no smaller one.
    ///
    /// # Errors
    ///
    /// A greater one was here.
    pub fn check(&mut self, token: u64) -> Result<(), Fenced> {
        let highest = self.highest;
        if token < highest {
            return Err(Fenced { token, highest });
        }
        self.highest = token;
        Ok(())
    }

    /// The greatest token so far: what is to be kept with the resource.
    pub fn highest(&self) -> u64 {
        self.highest
    }
}

/// A resource behind a gate.
///
/// ```
/// use aqueduct::kv::fence::FencedStore;
///
/// let mut file = FencedStore::new(Vec::new());
/// file.check(34)?.extend_from_slice(b"of the second holder");
/// assert!(file.check(33).is_err(), "the first was paused, and comes too late");
/// # Ok::<(), aqueduct::kv::fence::Fenced>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct FencedStore<S> {
    gate: Gate,
    store: S,
}

impl<S> FencedStore<S> {
    /// A resource that nobody has touched yet.
    pub fn new(store: S) -> Self {
        let gate = Gate::default();
        FencedStore { gate, store }
    }

    /// The resource, for the holder of this token.
    ///
    /// # Errors
    ///
    /// Somebody with a greater one was here.
    pub fn check(&mut self, token: u64) -> Result<&mut S, Fenced> {
        self.gate.check(token)?;
        Ok(&mut self.store)
    }

    /// The resource, to look at.
    pub fn inner(&self) -> &S {
        &self.store
    }
}
