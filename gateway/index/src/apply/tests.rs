mod conditions;
mod effects;
mod laws;
mod refusals;
