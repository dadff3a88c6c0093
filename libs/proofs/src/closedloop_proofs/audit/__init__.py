"""Are problems known of the libraries we lock?"""
