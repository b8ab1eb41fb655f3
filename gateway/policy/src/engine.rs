//! The engine: which Wasm is accepted, and what bounds a guest.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::thread;

use parking_lot::Mutex;

use wasmtime::component::{HasSelf, Linker};
use wasmtime::{
    Cache, Config, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig,
};

use crate::bindings::{v0_1_0, v0_2_0};
use crate::cache;
use crate::check::{self, Shape};
use crate::compiler::Compiler;
use crate::error::{LoadError, StartError};
use crate::guest::GuestState;
use crate::limits::{Allocation, Limits};
use crate::revision::sha256;
use crate::text::printable;
use crate::wire::Pre;

/// What all revisions share.
pub(crate) struct Runtime {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<GuestState>,
    pub(crate) limits: Limits,
    compiler: Compiler,
    cache: Option<Cache>,
    /// What is compiled now, by SHA-256 of the component: one plugin that
    /// serves several bindings, or gets other settings, is compiled once.
    compiled: Mutex<HashMap<[u8; 32], Weak<Compiled>>>,
}

/// A component that was compiled and found to be a policy.
pub(crate) struct Compiled {
    pub(crate) pre: Pre,
    pub(crate) shape: Shape,
    /// What it imports and exports, for those who inspect it.
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<String>,
}

impl Runtime {
    /// Starts the engine and the threads that advance its epoch and compile; they end when it
    /// does. What is compiled is kept in `cache_dir`.
    pub(crate) fn new(limits: Limits, cache_dir: Option<&Path>) -> Result<Self, StartError> {
        let mut config = config(&limits);
        let cache = cache_dir.map(cache::open).transpose()?;
        config.cache(cache.clone());
        Self::start(&config, limits, cache)
            .map_err(|error| StartError::Engine(format!("{error:#}")))
    }

    /// Components that were found in the cache, and those that were not.
    pub(crate) fn cache_use(&self) -> (u64, u64) {
        let cache = self.cache.as_ref();
        cache.map_or((0, 0), |cache| {
            (cache.cache_hits() as u64, cache.cache_misses() as u64)
        })
    }

    fn start(
        config: &Config,
        limits: Limits,
        cache: Option<Cache>,
    ) -> Result<Self, wasmtime::Error> {
        let engine = Engine::new(config)?;
        let mut linker = Linker::new(&engine);
        v0_1_0::PlacementPolicy::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
        v0_2_0::Policy::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
        let weak = engine.weak();
        thread::Builder::new()
            .name("policy-epoch".to_owned())
            .spawn(move || {
                while let Some(engine) = weak.upgrade() {
                    engine.increment_epoch();
                    drop(engine);
                    pause();
                }
            })?;
        Ok(Self {
            compiler: Compiler::start(engine.clone())?,
            engine,
            linker,
            limits,
            cache,
            compiled: Mutex::default(),
        })
    }

    /// Compiles a component and checks that it is a policy. Blocks until those that were asked
    /// for before are done.
    pub(crate) fn compile(&self, component: &[u8]) -> Result<Arc<Compiled>, LoadError> {
        let limit = self.limits.component_bytes_max;
        if component.len() > limit {
            return Err(LoadError::TooLarge {
                bytes: component.len(),
                limit,
            });
        }
        let digest = sha256(component);
        if let Some(compiled) = self.compiled.lock().get(&digest).and_then(Weak::upgrade) {
            return Ok(compiled);
        }
        let component = self
            .compiler
            .compile(component)
            .map_err(|error| LoadError::Invalid(one_line(&error)))?;
        let shape = check::check(&self.engine, &component)?;
        let kind = component.component_type();
        let imports = kind.imports(&self.engine).map(|(name, _)| name.to_owned());
        let exports = kind.exports(&self.engine).map(|(name, _)| name.to_owned());
        let pre = self
            .linker
            .instantiate_pre(&component)
            .and_then(|pre| Pre::new(shape.version, shape.decides, pre))
            .map_err(|error| LoadError::Type {
                version: shape.version.text(),
                why: one_line(&error),
            })?;
        let compiled = Arc::new(Compiled {
            pre,
            shape,
            imports: imports.collect(),
            exports: exports.collect(),
        });
        let mut all = self.compiled.lock();
        all.retain(|_, other| other.strong_count() > 0);
        all.insert(digest, Arc::downgrade(&compiled));
        Ok(compiled)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the epoch's own thread, outside of tokio; its clock must not stop with tokio's"
)]
fn pause() {
    thread::sleep(Limits::EPOCH_TICK);
}

/// Longest text about what is wrong with a component.
const TEXT_BYTES_MAX: usize = 512;

fn one_line(error: &wasmtime::Error) -> String {
    printable(&format!("{error:#}"), TEXT_BYTES_MAX)
}

fn config(limits: &Limits) -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true);
    // Deterministic: the same bits everywhere, and one thread.
    config.cranelift_nan_canonicalization(true);
    config.wasm_relaxed_simd(false);
    // Bounded. Fuel decides, so that a refusal can be replayed; the epoch is
    // there for stalls that fuel does not see.
    config.consume_fuel(true);
    config.epoch_interruption(true);
    config.max_wasm_stack(limits.stack_bytes_max);
    config.cranelift_opt_level(OptLevel::Speed);
    // One thread compiles: see `compiler`.
    config.parallel_compilation(false);
    // Backtraces of stripped guests say nothing, and cost at every trap.
    config.wasm_backtrace_max_frames(None);
    if let Allocation::Pooling { instances_max } = limits.allocation {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(
            limits,
            instances_max,
        )));
    }
    config
}

fn pool(limits: &Limits, instances_max: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    // A component of one core module has a few small instances beside it that
    // carry its adapters.
    let core_instances_max = instances_max.saturating_mul(4);
    pool.total_component_instances(instances_max);
    pool.total_core_instances(core_instances_max);
    pool.total_memories(instances_max);
    pool.total_tables(core_instances_max);
    pool.max_memory_size(limits.memory_bytes_max);
    pool.table_elements(limits.table_elements_max);
    pool.linear_memory_keep_resident(64 << 10);
    pool.table_keep_resident(4 << 10);
    pool
}
