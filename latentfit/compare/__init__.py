"""Pictures that compare approximations, and widgets over them."""
