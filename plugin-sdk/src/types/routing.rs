//! In which order an object's copies are tried for a read.

/// The read that is being decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// Bucket.
    pub bucket: String,
    /// Key.
    pub key: String,
    /// Of the whole object.
    pub size_bytes: u64,
    /// Of what is read of it.
    pub length_bytes: u64,
    /// `x-amz-storage-class`.
    pub storage_class: Option<String>,
    /// Who asks.
    pub principal: String,
    /// The site at which the client's request arrived.
    pub site: String,
    /// Indices of the backends that hold a good copy, in the order in which
    /// the host would try them; two at least.
    pub copies: Vec<u32>,
    /// The host's clock, milliseconds since 1970-01-01T00:00:00Z.
    pub now_ms: u64,
    /// Fresh random bits for this decision.
    pub entropy: u64,
}

/// A proposal: which copy first, and when to try the next beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// Some or all of [`Read::copies`], the first one first, each at most
    /// once, at least one. The host goes on to copies that it leaves out.
    pub order: Vec<u32>,
    /// When to try the next copy beside the first if that has not answered;
    /// `None`: never.
    pub hedge_after_us: Option<u32>,
}

impl Route {
    /// This order, without a hedge.
    #[must_use]
    pub fn new(order: impl IntoIterator<Item = u32>) -> Self {
        Self {
            order: order.into_iter().collect(),
            hedge_after_us: None,
        }
    }

    /// The same with a hedge after so many microseconds.
    #[must_use]
    pub fn hedged_after_us(mut self, after_us: u32) -> Self {
        self.hedge_after_us = Some(after_us);
        self
    }
}
