"""One module, one attack: `async def attack(ground) -> list[Finding]`."""
