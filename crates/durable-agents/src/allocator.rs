//! What hands out the memory of a worker's wasm.

use talc::wasm::{WasmDynamicTalc, new_wasm_dynamic_allocator};

// One for the whole worker, so a library may bring it only as a feature: see the crate's documentation.
#[global_allocator]
static ALLOCATOR: WasmDynamicTalc = new_wasm_dynamic_allocator();
