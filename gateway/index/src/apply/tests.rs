mod conditions;
mod laws;
mod refusals;
mod effects;
