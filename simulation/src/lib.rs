//! tokenward's own code, from its watches to its writes, in a world that is simulated: the clock,
//! the API server and the providers are behind the transports, so that anything may happen to any
//! request, and the process may crash at every await point. Everything follows from a seed.
//!
//! | module | what is there |
//! |---|---|
//! | [`plan`] | what a seed makes of a world before anything happens: providers, weather, mishaps |
//! | [`world`] | the time, the API server, the providers, and who is told of what |
//! | [`process`] | one process of tokenward, which may crash |
//! | [`api_server`], [`provider`] | the two parties at the far end of its transports |
//! | [`weather`], [`mischief`] | what goes wrong on the way, and what people do |
//! | [`judge`] | what must never happen, checked at every step |
//! | [`sabotage`] | deliberate bugs, which the judge has to notice |
//! | [`run`] | one world from beginning to end, in a thread of its own |
//! | [`dice`], [`entropy`] | chance |

pub mod api_server;
pub mod dice;
pub mod entropy;
pub mod judge;
pub mod mischief;
pub mod plan;
pub mod process;
pub mod provider;
pub mod run;
pub mod sabotage;
pub mod weather;
pub mod world;

/// Half of what a world does is to make objects and JSON, and to throw them away.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
