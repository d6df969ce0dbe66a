//! A block of methods as the author wrote it, checked.

use std::collections::BTreeSet;

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::parse::Parser;
use syn::{
    Attribute, Error, Expr, ExprLit, FnArg, GenericArgument, Ident, ImplItem, ImplItemFn, ItemImpl, Lit, LitStr, Meta, Pat,
    PatType, PathArguments, Result, ReturnType, Type,
};

use crate::model::{Complaints, struct_name};
use crate::rename::Rename;

/// An inherent `impl` with marked methods.
pub(crate) struct MethodBlock {
    /// The block, without the marks.
    pub(crate) block: ItemImpl,
    /// The struct's name.
    pub(crate) name: Ident,
    pub(crate) callables: Vec<Callable>,
    pub(crate) callbacks: Vec<Callback>,
    /// Names of the methods that are neither.
    pub(crate) uncallable: Vec<String>,
}

/// A method marked `#[callable]`.
pub(crate) struct Callable {
    pub(crate) ident: Ident,
    pub(crate) wire_name: String,
    pub(crate) description: String,
    pub(crate) scope: Option<LitStr>,
    pub(crate) is_async: bool,
    pub(crate) takes_context: bool,
    /// Types of the chunks and of the end.
    pub(crate) stream: Option<Type>,
    pub(crate) arguments: Vec<Argument>,
    /// What is in the `Result` it returns.
    pub(crate) returns: Type,
}

/// An argument that a caller sends.
pub(crate) struct Argument {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    /// May be missing, because it and all that follow are options.
    pub(crate) optional: Option<Type>,
}

/// A method marked `#[callback]`.
pub(crate) struct Callback {
    pub(crate) ident: Ident,
    pub(crate) name: String,
    pub(crate) is_async: bool,
    pub(crate) takes_context: bool,
    pub(crate) payload: Option<Type>,
    pub(crate) takes_run: bool,
}

/// What the attribute on the block says.
pub(crate) struct BlockOptions {
    /// `#[callable]` on the block marks all its methods, `#[agent]` none.
    pub(crate) marks_all: bool,
    pub(crate) rename: Rename,
}

impl BlockOptions {
    pub(crate) fn parse(arguments: TokenStream, marks_all: bool, complaints: &mut Complaints) -> Self {
        let mut rename = Rename::None;
        let parser = syn::meta::parser(|meta| {
            if meta.path.is_ident("rename_all") {
                let text: LitStr = meta.value()?.parse()?;
                rename = Rename::parse(&text)?;
                return Ok(());
            }
            Err(meta.error("unknown option, expected `rename_all`"))
        });
        if let Err(error) = parser.parse2(arguments) {
            complaints.push(error);
        }
        Self { marks_all, rename }
    }
}

/// What a mark on a method says.
#[derive(Default)]
struct Mark {
    name: Option<LitStr>,
    description: Option<LitStr>,
    scope: Option<LitStr>,
    streaming: bool,
    skip: bool,
}

impl MethodBlock {
    /// Checks the block; all complaints at once, each at its place.
    pub(crate) fn parse(mut block: ItemImpl, options: &BlockOptions, mut complaints: Complaints) -> Result<Self> {
        let mut methods = Self {
            name: struct_name(&block, &mut complaints),
            callables: Vec::new(),
            callbacks: Vec::new(),
            uncallable: Vec::new(),
            block: block.clone(),
        };
        let mut wire_names = BTreeSet::new();
        let mut constants = BTreeSet::new();
        for item in &mut block.items {
            let ImplItem::Fn(method) = item else { continue };
            if let Err(error) = methods.add(method, options, &mut wire_names, &mut constants, &mut complaints) {
                complaints.push(error);
            }
        }
        methods.block = block;
        complaints.into_result().map(|()| methods)
    }

    fn add(
        &mut self,
        method: &mut ImplItemFn,
        options: &BlockOptions,
        wire_names: &mut BTreeSet<String>,
        constants: &mut BTreeSet<String>,
        complaints: &mut Complaints,
    ) -> Result<()> {
        let callable = take_mark(&mut method.attrs, "callable", &["name", "description", "scope", "streaming", "skip"])?;
        let callback = take_mark(&mut method.attrs, "callback", &["name"])?;
        let ident = method.sig.ident.clone();
        let wire_name = |mark: &Mark| match &mark.name {
            Some(name) => name.value(),
            None => options.rename.apply(&ident.unraw().to_string()),
        };
        match (callable, callback) {
            (Some(_), Some(_)) => {
                complaints.add(&ident, "a method is either `#[callable]` or `#[callback]`");
            }
            (None, Some(mark)) => {
                let name = wire_name(&mark);
                let constant = ident.unraw().to_string().to_uppercase();
                let is_new = wire_names.insert(name.clone()) & constants.insert(constant);
                if !is_new {
                    complaints.add(place_of_name(&mark, &ident), &format!("two methods have the name {name:?}"));
                }
                self.callbacks.push(Callback::parse(method, name, complaints));
            }
            (Some(mark), None) if mark.skip => self.uncallable.push(wire_name(&mark)),
            (None, None) if !options.marks_all => self.uncallable.push(wire_name(&Mark::default())),
            (mark, None) => {
                let mark = mark.unwrap_or_default();
                let name = wire_name(&mark);
                if !wire_names.insert(name.clone()) {
                    complaints.add(place_of_name(&mark, &ident), &format!("two methods have the name {name:?}"));
                }
                self.callables.push(Callable::parse(method, &mark, name, complaints));
            }
        }
        Ok(())
    }
}

impl Callable {
    fn parse(method: &ImplItemFn, mark: &Mark, wire_name: String, complaints: &mut Complaints) -> Self {
        let what = "a callable method";
        check_signature(method, what, complaints);
        let mut inputs = typed_inputs(method);
        let takes_context = take_context(&mut inputs);
        let mut stream = None;
        if let Some(first) =
            inputs.first().copied().filter(|input| last_segment(&input.ty).is_some_and(|name| name == "Stream"))
        {
            inputs.remove(0);
            if !mark.streaming {
                complaints.add(&first.ty, "a method with a stream is `#[callable(streaming)]`");
            }
            stream = Some((*first.ty).clone());
        } else if mark.streaming {
            let place = inputs.first().map_or_else(|| method.sig.ident.to_token_stream(), |input| input.ty.to_token_stream());
            complaints.add(&place, "a streaming method takes its stream first, after the context: `stream: Stream<T>`");
        }
        let mut arguments: Vec<Argument> =
            inputs.iter().filter_map(|input| Argument::parse(input, "argument", complaints)).collect();
        let mut all_optional = true;
        for argument in arguments.iter_mut().rev() {
            all_optional &= argument.optional.is_some();
            if !all_optional {
                argument.optional = None;
            }
        }
        let returns = result_type(method, what, complaints);
        if mark.streaming && !is_unit(&returns) {
            complaints.add(&returns, "a streaming method returns `Result<()>`: its results go into the stream");
        }
        if let Some(scope) = &mark.scope
            && scope.value().is_empty()
        {
            complaints.add(scope, "a scope has a name");
        }
        let description = mark.description.as_ref().map_or_else(|| first_doc_line(&method.attrs), LitStr::value);
        Self {
            ident: method.sig.ident.clone(),
            wire_name,
            description,
            scope: mark.scope.clone(),
            is_async: method.sig.asyncness.is_some(),
            takes_context,
            stream,
            arguments,
            returns,
        }
    }
}

impl Callback {
    fn parse(method: &ImplItemFn, name: String, complaints: &mut Complaints) -> Self {
        let what = "a callback";
        check_signature(method, what, complaints);
        let mut inputs = typed_inputs(method);
        let takes_context = take_context(&mut inputs);
        let takes_run = inputs.last().is_some_and(|input| is_reference_to(&input.ty, "Run"));
        if takes_run {
            inputs.pop();
        }
        if let Some(another) = inputs.get(1) {
            complaints
                .add(another, "a callback takes one payload: `cx: &Context<Self>, payload: P, run: &Run`, each if it wants it");
        }
        let payload = inputs.first().and_then(|input| Argument::parse(input, "payload", complaints)).map(|payload| payload.ty);
        let returns = result_type(method, what, complaints);
        if !is_unit(&returns) {
            complaints.add(&returns, "a callback returns `Result<()>`: nobody gets its result");
        }
        Self {
            ident: method.sig.ident.clone(),
            name,
            is_async: method.sig.asyncness.is_some(),
            takes_context,
            payload,
            takes_run,
        }
    }
}

impl Argument {
    fn parse(input: &PatType, what: &str, complaints: &mut Complaints) -> Option<Self> {
        match &*input.ty {
            Type::Reference(_) => {
                complaints
                    .add(&input.ty, &format!("the {what} of a call is made for it: take it by value, as `String` for a text"));
                return None;
            }
            Type::ImplTrait(_) => {
                complaints.add(&input.ty, &format!("the {what} needs a type that can be read from JSON"));
                return None;
            }
            _ => {}
        }
        let Pat::Ident(name) = &*input.pat else {
            complaints.add(&input.pat, &format!("the {what} needs a name, which callers are told when it is wrong"));
            return None;
        };
        Some(Self { ident: name.ident.clone(), ty: (*input.ty).clone(), optional: inside_of(&input.ty, "Option") })
    }
}

/// What callbacks and callables have in common.
fn check_signature(method: &ImplItemFn, what: &str, complaints: &mut Complaints) {
    let signature = &method.sig;
    match signature.receiver() {
        Some(receiver) if receiver.reference.is_some() && receiver.mutability.is_none() && receiver.colon_token.is_none() => {}
        Some(receiver) => complaints.add(receiver, &format!("{what} takes `&self`: calls interleave")),
        None => complaints.add(&signature.ident, &format!("{what} takes `&self`")),
    }
    if !signature.generics.params.is_empty() {
        complaints.add(&signature.generics, &format!("{what} has no parameters of its own: its types are what is on the wire"));
    }
}

fn typed_inputs(method: &ImplItemFn) -> Vec<&PatType> {
    let mut inputs = Vec::new();
    for input in &method.sig.inputs {
        if let FnArg::Typed(typed) = input {
            inputs.push(typed);
        }
    }
    inputs
}

fn take_context(inputs: &mut Vec<&PatType>) -> bool {
    let takes = inputs.first().is_some_and(|input| is_reference_to(&input.ty, "Context"));
    if takes {
        inputs.remove(0);
    }
    takes
}

fn is_reference_to(ty: &Type, name: &str) -> bool {
    matches!(ty, Type::Reference(reference) if last_segment(&reference.elem).is_some_and(|ident| ident == name))
}

fn last_segment(ty: &Type) -> Option<&Ident> {
    match ty {
        Type::Path(path) => path.path.segments.last().map(|segment| &segment.ident),
        _ => None,
    }
}

/// The first type within `name<…>`.
fn inside_of(ty: &Type, name: &str) -> Option<Type> {
    let Type::Path(path) = ty else { return None };
    let segment = path.path.segments.last().filter(|segment| segment.ident == name)?;
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty.clone()),
        _ => None,
    })
}

fn result_type(method: &ImplItemFn, what: &str, complaints: &mut Complaints) -> Type {
    let unit = || syn::parse_quote!(());
    match &method.sig.output {
        ReturnType::Default => {
            complaints.add(&method.sig.ident, &format!("{what} returns a `Result`"));
            unit()
        }
        ReturnType::Type(_, ty) => inside_of(ty, "Result").unwrap_or_else(|| {
            complaints.add(ty, &format!("{what} returns a `Result`"));
            unit()
        }),
    }
}

pub(crate) fn is_unit(ty: &Type) -> bool {
    matches!(ty, Type::Tuple(tuple) if tuple.elems.is_empty())
}

/// Whether it is `rpc::Answer`, by its path: an agent may have an `Answer` of its own.
pub(crate) fn is_answer(ty: &Type) -> bool {
    let Type::Path(path) = ty else { return false };
    let mut segments = path.path.segments.iter().rev();
    segments.next().is_some_and(|name| name.ident == "Answer") && segments.next().is_some_and(|module| module.ident == "rpc")
}

fn place_of_name(mark: &Mark, ident: &Ident) -> TokenStream {
    mark.name.as_ref().map_or_else(|| ident.to_token_stream(), ToTokens::to_token_stream)
}

/// Removes the attribute of that name, and reads it.
fn take_mark(attributes: &mut Vec<Attribute>, name: &str, known: &[&str]) -> Result<Option<Mark>> {
    let is_it = |attribute: &Attribute| attribute.path().segments.last().is_some_and(|segment| segment.ident == name);
    let Some(index) = attributes.iter().position(is_it) else { return Ok(None) };
    let attribute = attributes.remove(index);
    if let Some(second) = attributes.iter().find(|attribute| is_it(attribute)) {
        return Err(Error::new_spanned(second, format!("a method is marked `#[{name}]` once")));
    }
    let mut mark = Mark::default();
    if matches!(attribute.meta, Meta::Path(_)) {
        return Ok(Some(mark));
    }
    attribute.parse_nested_meta(|meta| {
        let option = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        if !known.contains(&option.as_str()) {
            return Err(meta.error(format!("unknown option, expected one of: {}", known.join(", "))));
        }
        let text = |meta: &ParseNestedMeta<'_>| meta.value()?.parse::<LitStr>();
        match option.as_str() {
            "name" => mark.name = Some(text(&meta)?),
            "description" => mark.description = Some(text(&meta)?),
            "scope" => mark.scope = Some(text(&meta)?),
            "streaming" => mark.streaming = true,
            _ => mark.skip = true,
        }
        Ok(())
    })?;
    Ok(Some(mark))
}

fn first_doc_line(attributes: &[Attribute]) -> String {
    let doc = attributes.iter().find_map(|attribute| match &attribute.meta {
        Meta::NameValue(meta) if meta.path.is_ident("doc") => match &meta.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    });
    doc.unwrap_or_default().trim().to_owned()
}

/// The method as a caller should write it.
pub(crate) fn signature(callable: &Callable) -> String {
    let arguments: Vec<String> =
        callable.arguments.iter().map(|argument| format!("{}: {}", argument.ident, type_text(&argument.ty))).collect();
    format!("{}({})", callable.wire_name, arguments.join(", "))
}

/// A type as its author would write it.
pub(crate) fn type_text(ty: &Type) -> String {
    let mut text = String::new();
    for part in ty.to_token_stream().to_string().split(' ') {
        // Between words, as in `dyn Trait`, and after a comma, there is a space.
        let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        if text.ends_with([',', ';']) || is_word(text.chars().next_back()) && is_word(part.chars().next()) {
            text.push(' ');
        }
        text.push_str(part);
    }
    text
}
