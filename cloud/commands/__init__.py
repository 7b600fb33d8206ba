"""Commands 指令 to gateways: who asks for what, what is refused, what became of it."""
