//! The front as its callers see it: requests in, operations and responses out. Signatures are
//! made by AWS's own signer.

mod answers;
mod chunked;
mod fuzz;
mod gate;
mod operations;
mod oracle;
mod refusals;
mod support;
