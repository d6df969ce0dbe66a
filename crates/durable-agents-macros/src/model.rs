//! What the author wrote, checked.

use proc_macro2::TokenStream;
use syn::spanned::Spanned;
use syn::{Error, Ident, ImplItem, ItemImpl, Result, Type, parse2};

/// An `impl Agent for Struct` block.
pub(crate) struct AgentImpl {
    /// The block as written.
    pub(crate) block: ItemImpl,
    /// The struct's name.
    pub(crate) name: Ident,
}

impl AgentImpl {
    /// Checks that the block can become a class; all complaints at once, each at its place.
    pub(crate) fn parse(arguments: TokenStream, item: TokenStream) -> Result<Self> {
        let block: ItemImpl =
            parse2(item.clone()).map_err(|_| Error::new_spanned(item, "#[agent] belongs on an `impl Agent for …` block"))?;
        let mut complaints = Vec::new();
        if !arguments.is_empty() {
            complaints.push(Error::new_spanned(arguments, "#[agent] takes no arguments"));
        }
        let of_trait = block.trait_.as_ref().and_then(|(_, path, _)| path.segments.last());
        if of_trait.is_none_or(|name| name.ident != "Agent") {
            complaints.push(Error::new(block.impl_token.span(), "#[agent] belongs on an `impl Agent for …` block"));
        }
        if !block.generics.params.is_empty() {
            complaints.push(Error::new_spanned(&block.generics, "an agent has no type parameters: a class cannot have any"));
        }
        let name = struct_name(&block.self_ty);
        if name.is_none() {
            complaints.push(Error::new_spanned(&block.self_ty, "an agent is a plain struct of this module"));
        }
        match (complaints.into_iter().reduce(combined), name) {
            (None, Some(name)) => Ok(Self { block, name }),
            (Some(complaint), _) => Err(complaint),
            (None, None) => Err(Error::new_spanned(&block.self_ty, "an agent is a plain struct of this module")),
        }
    }

    /// Whether the block defines an item of that name.
    pub(crate) fn defines(&self, name: &str) -> bool {
        self.block.items.iter().any(|item| match item {
            ImplItem::Const(item) => item.ident == name,
            ImplItem::Fn(item) => item.sig.ident == name,
            ImplItem::Type(item) => item.ident == name,
            _ => false,
        })
    }
}

fn struct_name(ty: &Type) -> Option<Ident> {
    match ty {
        Type::Path(path) if path.qself.is_none() => path.path.get_ident().cloned(),
        _ => None,
    }
}

fn combined(mut first: Error, second: Error) -> Error {
    first.combine(second);
    first
}
