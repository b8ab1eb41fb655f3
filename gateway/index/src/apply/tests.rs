mod conditions;
mod effects;
pub(crate) mod laws;
mod refusals;
