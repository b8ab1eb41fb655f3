//! The front as its callers see it: requests in, operations and responses out. Signatures are
//! made by AWS's own signer.

mod answers;
mod attacks;
mod chunked;
mod fuzz;
mod operations;
mod oracle;
mod support;
