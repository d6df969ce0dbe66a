//! Methods that two agents share.

use durable_agents::prelude::*;

/// The parent.
#[derive(Debug, Default)]
pub struct TestParentAgent;

#[agent]
impl Agent for TestParentAgent {}

#[callable(rename_all = "camelCase")]
impl TestParentAgent {
    /// A method of the parent.
    fn parent_method(&self) -> Result<&'static str> {
        Ok("from parent")
    }

    /// A method that the child replaces.
    fn shared_method(&self) -> Result<&'static str> {
        Ok("parent implementation")
    }
}

/// The child: a parent, and what it adds.
#[derive(Debug, Default)]
pub struct TestChildAgent {
    parent: TestParentAgent,
}

#[agent]
impl Agent for TestChildAgent {}

#[callable(rename_all = "camelCase")]
impl TestChildAgent {
    /// A method of the parent.
    fn parent_method(&self) -> Result<&'static str> {
        self.parent.parent_method()
    }

    /// The child's own version.
    fn shared_method(&self) -> Result<&'static str> {
        Ok("child implementation")
    }

    /// A method of the child.
    fn child_method(&self) -> Result<&'static str> {
        Ok("from child")
    }

    fn get_callable_method_names(&self) -> Result<Vec<&'static str>> {
        let mut names: Vec<_> = Self::callables().iter().map(|callable| callable.name).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// What clients cannot reach.
    #[callable(skip)]
    #[allow(dead_code, reason = "that nobody can call it is what it is for")]
    fn non_callable_method(&self) -> &'static str {
        "not callable"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Without a binding, nobody can ask it from outside.
    #[test]
    fn the_parent_has_methods_of_its_own() {
        let names: Vec<_> = TestParentAgent::callables().iter().map(|callable| callable.name).collect();
        assert_eq!(names, ["parentMethod", "sharedMethod"]);
    }
}
