"""Pictures that compare approximations; widgets over them come later."""
