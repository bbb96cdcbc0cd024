__version__ = "0.1.0"


def __getattr__(name):
    "`socialrm.load`, imported when it is asked for: importing the package stays quick."
    if name == "load":
        from .runs import load

        return load
    raise AttributeError(f"module 'socialrm' has no attribute {name!r}")
