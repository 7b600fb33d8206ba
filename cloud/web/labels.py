"""Words of codes that the database keeps: states, services, kinds, roles, points."""

from typing import Final

from cloud.web.i18n import N_

STATES: Final = {
    "critical": N_("Critical"),
    "warning": N_("Warning"),
    "offline": N_("Offline"),
    "stale": N_("Late"),
    "normal": N_("Normal"),
}
STATE_ORDER: Final = tuple(STATES)

GATEWAY_STATES: Final = {
    "online": N_("Online"),
    "catching_up": N_("Catching up"),
    "offline": N_("Offline"),
}

SERVICES: Final = {
    "electricity": N_("Electricity"),
    "water": N_("Water"),
    "heat": N_("Heat"),
    "shared": N_("Shared cost"),
    "pool": N_("Shared cost"),
    "property": N_("Property fee"),
    "property-fee": N_("Property fee"),
    "parking": N_("Parking"),
    "garbage": N_("Garbage fee"),
    "heating": N_("Heating"),
    "repair": N_("Repair"),
    "card": N_("Access card"),
    "renovation": N_("Renovation fee"),
    "hire": N_("Hire"),
    "other": N_("Other charge"),
}

PHASES: Final = {
    "rating": N_("being worked out"),
    "drafted": N_("waits to be looked at"),
    "posting": N_("being posted"),
    "finished": N_("Posted"),
}

REMINDERS: Final = {
    "phone": N_("Telephone"),
    "visit": N_("Visit"),
    "letter": N_("Letter"),
    "message": N_("Message"),
    "mail": N_("E-mail"),
}

MESSAGES: Final = {
    "waiting": N_("waits to be sent"),
    "sent": N_("Sent"),
    "failed": N_("not sent yet, is tried again"),
    "given_up": N_("not sent, given up"),
}

CAUSES: Final = {
    "unknown": N_("cause unknown"),
    "forgot": N_("forgot it"),
    "vacant": N_("stands empty"),
    "hardship": N_("cannot pay"),
    "dispute": N_("disputes it"),
    "refuses": N_("refuses"),
    "moved": N_("moved away"),
}

MEDIA: Final = {
    "electricity": N_("Electricity meter"),
    "water": N_("Water meter"),
    "heat": N_("Heat meter"),
}

ROLES: Final = {
    "manager": N_("Project manager"),
    "maintenance": N_("Maintenance"),
    "clerk": N_("Billing clerk"),
    "guard": N_("Guard"),
    "resident": N_("Resident"),
    "integrator": N_("Integrator"),
}

KINDS: Final = {
    "gateway_offline": N_("Gateway offline"),
    "device_offline": N_("Device offline"),
    "threshold": N_("Threshold crossed"),
    "night_flow": N_("Flow at night"),
    "register_fell": N_("Register fell"),
    "setting_changed": N_("Meter setting changed"),
    "clock_uncertain": N_("Clock uncertain"),
    "foreign_master": N_("Another master on the line"),
    "possible_duplicate": N_("Two devices with one address"),
    "loss": N_("Readings lost"),
    "journal_damaged": N_("Gateway's disk damaged"),
    "journal_step": N_("Gateway's disk full"),
    "bad_signature": N_("Signature does not fit"),
    "bad_root": N_("Stored readings were changed"),
    "clone_suspect": N_("Clone of a gateway suspected"),
}

QUALITIES: Final = (
    N_("Good"),
    N_("Missing"),
    N_("Suspect"),
    N_("Out of range"),
    N_("Stale"),
    N_("Time uncertain"),
)

CLOCK_QUALITIES: Final = {
    "certain": N_("Certain"),
    "uncertain": N_("Time uncertain"),
    "mixed": N_("Time of some uncertain"),
    "none": N_("No readings"),
}

CHANNELS: Final = {
    "cash": N_("Cash"),
    "bank": N_("Bank transfer"),
    "pos": N_("Card"),
    "wechat": N_("WeChat"),
    "alipay": N_("Alipay"),
    "online": N_("Online"),
}

ORDERS: Final = {
    "created": N_("Waits for the payer"),
    "paid": N_("The money has come"),
    "closed": N_("Withdrawn or expired"),
    "refunded": N_("Given back whole"),
}

# what of a channel's word is not what was ordered
DIFFERENCES: Final = {
    "amount_fen": N_("Amount"),
    "currency": N_("Currency"),
    "app_id": N_("App"),
    "merchant_id": N_("Merchant"),
    "transaction_id": N_("Transaction"),
}

REFUNDS: Final = {
    "waiting": N_("the channel has not confirmed"),
    "confirmed": N_("given back"),
    "failed": N_("failed: pay it back by hand, or void the refund"),
}

ENTRIES: Final = {
    "bill": N_("Bill"),
    "credit_note": N_("Credit note"),
    "late_charge": N_("Late charge"),
    "opening": N_("Opening balance"),
    "payment": N_("Payment"),
    "offset": N_("Offset from prepaid"),
    "deposit_offset": N_("Offset from deposit"),
    "relief": N_("Relief"),
    "deposit": N_("Deposit"),
    "refund": N_("Refund"),
    "transfer": N_("Overpaid, prepaid again"),
    "void": N_("Void"),
    "discount_plan": N_("Discount plan"),
    "discount": N_("Discount"),
    "discount_end": N_("End of a discount"),
}

POOL_KINDS: Final = {
    "public": N_("Public area use"),
    "loss": N_("Line loss"),
}

POOL_LEVELS: Final = {
    "project": N_("Whole project"),
    "building": N_("Building"),
    "entrance": N_("Entrance"),
}

WEIGHTS: Final = {
    "area": N_("Area"),
    "usage": N_("Use of the month"),
    "household": N_("Households"),
    "head": N_("Heads"),
    "formula": N_("Weight"),
}

EXEMPTIONS: Final = {
    "ground_floor": N_("Ground floor"),
    "vacant": N_("Vacant"),
    "unsold": N_("Unsold"),
    "unheld": N_("Nobody's account"),
}

BEARERS: Final = {
    "company": N_("borne by the company"),
    "others": N_("borne by the others"),
}

ORDER_STATES: Final = {
    "accepted": N_("Accepted"),
    "dispatched": N_("Dispatched"),
    "taken": N_("Taken on"),
    "in_progress": N_("In progress"),
    "done": N_("Work done"),
    "closed": N_("Closed"),
}

# what a button says that leads from one state to another
ORDER_MOVES: Final = {
    ("accepted", "dispatched"): N_("Dispatch"),
    ("accepted", "closed"): N_("Close"),
    ("dispatched", "taken"): N_("Take it"),
    ("dispatched", "accepted"): N_("Hand back"),
    ("taken", "in_progress"): N_("Begin"),
    ("taken", "accepted"): N_("Hand back"),
    ("in_progress", "done"): N_("Report it done"),
    ("done", "closed"): N_("Close"),
    ("done", "in_progress"): N_("Not done yet"),
}

POINTS: Final = {
    "energy_import": N_("Imported energy"),
    "energy_export": N_("Exported energy"),
    "energy_total": N_("Total energy"),
    "active_power": N_("Active power"),
    "apparent_power": N_("Apparent power"),
    "reactive_power": N_("Reactive power"),
    "power_factor": N_("Power factor"),
    "power_l1": N_("Phase 1 active power"),
    "power_l2": N_("Phase 2 active power"),
    "power_l3": N_("Phase 3 active power"),
    "voltage": N_("Voltage"),
    "voltage_l1": N_("Phase 1 voltage"),
    "voltage_l2": N_("Phase 2 voltage"),
    "voltage_l3": N_("Phase 3 voltage"),
    "current": N_("Current"),
    "current_l1": N_("Phase 1 current"),
    "current_l2": N_("Phase 2 current"),
    "current_l3": N_("Phase 3 current"),
    "frequency": N_("Frequency"),
    "total_positive": N_("Forward total"),
    "total_negative": N_("Reverse total"),
    "total_net": N_("Net total"),
    "flow_rate": N_("Flow rate"),
    "velocity": N_("Velocity"),
    "pressure": N_("Pressure"),
    "temperature": N_("Water temperature"),
    "temp_supply": N_("Supply temperature"),
    "temp_return": N_("Return temperature"),
    "battery": N_("Battery voltage"),
    "valve_status": N_("Valve status"),
    "pipe_status": N_("Pipe status"),
    "remaining": N_("Remaining volume"),
    "ct_ratio": N_("Current transformer ratio"),
    "pt_ratio": N_("Voltage transformer ratio"),
    "energy_total_mode": N_("What total energy counts"),
    "working_time": N_("Working time"),
    "signal_quality": N_("Signal quality"),
    "error_bits": N_("Error bits"),
    "fluid_sound_speed": N_("Speed of sound"),
    "energy_import_l1": N_("Phase 1 imported energy"),
    "energy_export_l1": N_("Phase 1 exported energy"),
}
