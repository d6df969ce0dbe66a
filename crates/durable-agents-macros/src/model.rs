//! An `impl Agent for …` block as the author wrote it, checked.

use proc_macro2::{Span, TokenStream};
use syn::spanned::Spanned;
use syn::{Error, Ident, ImplItem, ItemImpl, Result, Type, parse2};

/// Where `#[agent]` may stand.
const PLACE: &str = "#[agent] belongs on an `impl Agent for …` block, or on an `impl` block of the agent's methods";

/// An `impl Agent for Struct` block.
pub(crate) struct AgentImpl {
    /// The block as written.
    pub(crate) block: ItemImpl,
    /// The struct's name.
    pub(crate) name: Ident,
}

impl AgentImpl {
    /// Checks that the block can become a class; all complaints at once, each at its place.
    pub(crate) fn parse(arguments: TokenStream, block: ItemImpl) -> Result<Self> {
        let mut complaints = Complaints::default();
        if !arguments.is_empty() {
            complaints.add(arguments, "#[agent] takes no arguments on an `impl Agent for …` block");
        }
        let of_trait = block.trait_.as_ref().and_then(|(_, path, _)| path.segments.last());
        if of_trait.is_none_or(|name| name.ident != "Agent") {
            complaints.push(Error::new(block.impl_token.span(), PLACE));
        }
        let name = struct_name(&block, &mut complaints);
        complaints.into_result().map(|()| Self { block, name })
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

/// The name of the struct whose block it is, if a class can be made of it; any name with a complaint if not.
pub(crate) fn struct_name(block: &ItemImpl, complaints: &mut Complaints) -> Ident {
    if !block.generics.params.is_empty() {
        complaints.add(&block.generics, "an agent has no type parameters: a class cannot have any");
    }
    let name = match &*block.self_ty {
        Type::Path(path) if path.qself.is_none() => path.path.get_ident().cloned(),
        _ => None,
    };
    name.unwrap_or_else(|| {
        complaints.add(&block.self_ty, "an agent is a plain struct of this module");
        Ident::new("Agent", Span::call_site())
    })
}

/// The block that the attribute stands on.
pub(crate) fn impl_block(item: TokenStream) -> Result<ItemImpl> {
    parse2(item.clone()).map_err(|_| Error::new_spanned(item, PLACE))
}

/// Everything that is wrong with a block, to be said at once.
#[derive(Default)]
pub(crate) struct Complaints(Option<Error>);

impl Complaints {
    pub(crate) fn push(&mut self, complaint: Error) {
        match &mut self.0 {
            Some(first) => first.combine(complaint),
            None => self.0 = Some(complaint),
        }
    }

    pub(crate) fn add(&mut self, place: impl quote::ToTokens, text: &str) {
        self.push(Error::new_spanned(place, text));
    }

    pub(crate) fn into_result(self) -> Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}
