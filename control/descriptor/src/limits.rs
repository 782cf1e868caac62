//! How much a descriptor may be: every bound on what untrusted files can make the loader do, in one place.
//!
//! They are far above what a dataflow needs and low enough that any file is answered within a second and 100 MB, in a debug
//! build, too (`tests/limits.rs` has the files that come nearest). `docs/guide/dataflow-yaml.md`, section "Limits", is the
//! user's copy of this page.

/// Bytes of the descriptor.
pub const TEXT: usize = 4 << 20;
/// Levels of nesting, so no walk over a tree can exhaust the stack. The schema needs 7.
pub const LEVELS: usize = 32;
/// Values (scalars, lists, maps), counted after aliases were copied and, with modules, after these took their place.
pub const VALUES: usize = 250_000;
/// Bytes of text that aliases may copy.
pub const COPIED: usize = 8 << 20;
/// Nodes, those of modules included.
pub const NODES: usize = 10_000;
/// Bytes that variables may have once every node has its copy of those of the dataflow.
pub const VARIABLES: usize = 64 << 20;

/// Entries of `chains`: each costs a walk over all nodes.
pub const CHAINS: usize = 100;

/// Bytes of a module file.
pub const MODULE_FILE: usize = 1 << 20;
/// Modules inside of each other.
pub const MODULE_LEVELS: usize = 8;
/// Bytes of text once modules took their place.
pub const EXPANDED: usize = 16 << 20;
/// Bytes of a text once the parameters of its module are put in.
pub const PARAMETER: usize = 64 << 10;

/// Bytes of a file with types.
pub const TYPE_FILE: usize = 1 << 20;
/// Files with types in one folder.
pub const TYPE_FILES: usize = 1000;
/// Whatever else stands in a folder with types.
pub const TYPE_ENTRIES: usize = 10_000;
/// Levels of folders with types.
pub const TYPE_FOLDERS: usize = 8;
/// Types inside of each other, and lists in a type.
pub const TYPE_LEVELS: usize = 8;
/// Entries of `type_rules`: each costs a look per edge.
pub const TYPE_RULES: usize = 200;
/// Looks at a rule, over all edges: a few rules between many types multiply.
pub const TYPE_STEPS: usize = 2_000_000;
/// Fields of one type, those of its fields included.
pub const TYPE_FIELDS: usize = 4096;

/// Errors that are told; more are counted only: nobody reads them, and garbage can have one per byte.
pub const ERRORS: usize = 1000;
/// Problems up to which names that might be meant are looked for: each costs a walk over all names.
pub const SUGGESTIONS: usize = 20;
