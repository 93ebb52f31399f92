"""What a component must pass, and the checkers that tests and `fl.check` share; each is shown to fail on a fault."""
