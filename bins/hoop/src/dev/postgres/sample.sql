-- A shop with customers who do not exist. Card numbers have the right check digit, and are nobody's.
create table customers (
    id          integer primary key generated always as identity,
    name        text not null,
    email       text not null unique,
    phone       text,
    card_number text,
    ssn         text,
    iban        text,
    country     text not null,
    created_at  timestamptz not null
);

create table orders (
    id          integer primary key generated always as identity,
    customer_id integer not null references customers,
    item        text not null,
    amount      numeric(10, 2) not null,
    note        text,
    ordered_at  timestamptz not null
);

create function pg_temp.with_check_digit(digits text) returns text language sql as $$
    -- Luhn: from the right, every second digit counts twice, the check digit itself being the first.
    select digits || (10 - sum(case when place % 2 = 1 then twice / 10 + twice % 10 else once end) % 10) % 10
    from (
        select place, once, once * 2 as twice
        from generate_series(1, length(digits)) as place,
             lateral (select substr(reverse(digits), place, 1)::int as once) as digit
    ) as places
$$;

insert into customers (name, email, phone, card_number, ssn, iban, country, created_at)
select
    first || ' ' || last,
    lower(first || '.' || last) || n || '@example.com',
    '+1-202-555-' || lpad((n % 10000)::text, 4, '0'),
    pg_temp.with_check_digit('4' || lpad((n::bigint * 7919 * 104729 % 100000000000000)::text, 14, '0')),
    lpad((100 + n * 37 % 560)::text, 3, '0') || '-' || lpad((10 + n % 80)::text, 2, '0') || '-' || lpad((1000 + n * 61 % 8999)::text, 4, '0'),
    (array['DE89370400440532013000', 'FR1420041010050500013M02606', 'GB29NWBK60161331926819', 'NL91ABNA0417164300'])[1 + n % 4],
    (array['DE', 'FR', 'GB', 'NL'])[1 + n % 4],
    timestamptz '2024-01-01 09:00+00' + n * interval '37 hours'
from generate_series(1, 500) as n,
     lateral (select
        (array['Ada', 'Grace', 'Alan', 'Edsger', 'Barbara', 'Donald', 'Frances', 'Ken', 'Margaret', 'Dennis', 'Radia', 'Leslie'])[1 + n % 12] as first,
        (array['Moreau', 'Schmidt', 'de Vries', 'Taylor', 'Rossi', 'Novak', 'Jensen', 'Okafor', 'Silva', 'Tanaka', 'Kowalski'])[1 + n % 11] as last) as names;

update customers set email = replace(email, ' ', '');

insert into orders (customer_id, item, amount, note, ordered_at)
select
    1 + n * 13 % 500,
    (array['keyboard', 'lamp', 'notebook', 'chair', 'headphones', 'coffee'])[1 + n % 6],
    (5 + n * 7 % 300) + 0.99,
    case when n % 9 = 0 then 'call back ' || (select email from customers where id = 1 + n * 13 % 500) end,
    timestamptz '2024-02-01 12:00+00' + n * interval '5 hours'
from generate_series(1, 2000) as n;
